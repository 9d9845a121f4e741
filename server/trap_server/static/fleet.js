// @ts-check
/** Keeps the fleet page live: numbers by Server-Sent Events, curves from the day's points and gaps. */

/**
 * @typedef {{tenant: string, trap: string, start_ms: number, duration_ms: number, semantics: string,
 *   counts: Counts | null, frames_analysed: number, observed_s: number,
 *   model_id: string, model_sha256: string}} Window
 * @typedef {{tenant: string, trap: string, status: string, last_seen_ms: number | null,
 *   complete_to_ms: number | null}} TrapState
 * @typedef {Record<string, number>} Counts by class
 * @typedef {{start_ms: number, end_ms: number, counts: Counts}} Point
 * @typedef {{start_ms: number, end_ms: number, reason: string}} Gap
 * @typedef {{caught: Counts | null, most_at_once: Counts | null}} Totals
 * @typedef {{since_ms: number, until_ms: number, semantics: string | null, step_ms: number | null, points: Point[],
 *   gaps: Gap[], totals: Totals}} Day
 */

const CURVE_HEIGHT = 190;
const REFRESH_MS = 60_000; // moves "now" along the time axis, and draws gaps that grow
const SETTLE_MS = 1_000; // a burst of windows is drawn once
const RETRY_MS = 5_000; // a browser gives up by itself after an answer that is an error
/** @type {Map<string, string>} */
const SEXES = new Map([["Female", "Females"], ["Male", "Males"]]);
const MOST_NUMBERS = 4; // large numbers and colours for a model without sexes

/** @type {Map<string, TrapCard>} */
const cards = new Map();
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const darkness = matchMedia("(prefers-color-scheme: dark)");

/** @returns {Promise<any>} uPlot, or null where it was not installed */
async function loadPlot() {
  try {
    return (await import("/static/vendor/uPlot.esm.js")).default;
  } catch {
    document.getElementById("no-curves")?.removeAttribute("hidden");
    return null;
  }
}

/** @param {number} ms @param {Intl.DateTimeFormat} [format] @returns {string} local time, with the day unless it is today */
function moment(ms, format = clock) {
  const then = new Date(ms);
  const today = then.toDateString() === new Date().toDateString();
  return today ? format.format(then) : `${date.format(then)}, ${format.format(then)}`;
}

/** @param {string} name @returns {string} a colour of the style sheet, as it is now */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** @param {Counts} counts @returns {string[]} the classes shown large and drawn; headline.py says the same */
function headline(counts) {
  const names = Object.keys(counts);
  return names.some((name) => SEXES.has(name)) ? [...SEXES.keys()] : names.slice(0, MOST_NUMBERS);
}

/** @param {string[]} names @returns {Map<string, string>} series of each class: its colour in the style sheet */
function seriesOf(names) {
  const others = names.filter((name) => !SEXES.has(name)).slice(0, MOST_NUMBERS);
  const drawn = names.filter((name) => SEXES.has(name) || others.includes(name));
  return new Map(drawn.map((name) => [name, SEXES.has(name) ? name.toLowerCase() : String(others.indexOf(name) + 1)]));
}

/** @param {Day} day @returns {string[]} the classes of its curve: the newest model's first, then an earlier one's */
function drawnIn(day) {
  return [...new Set([...day.points].reverse().flatMap((point) => headline(point.counts)))];
}

/** @param {Counts | null} counts @param {string} name @returns {number | null} */
function countOf(counts, name) {
  return counts && Object.hasOwn(counts, name) ? counts[name] : null;
}

/** @param {Day} day @param {string[]} names @returns {string} */
function totalsText(day, names) {
  const isOccupancy = day.semantics === "occupancy";
  const counts = isOccupancy ? day.totals.most_at_once : day.totals.caught;
  const parts = names
    .filter((name) => countOf(counts, name) !== null)
    .map((name) => (SEXES.has(name) ? `${countOf(counts, name)} ${SEXES.get(name)?.toLowerCase()}` : `${name} ${countOf(counts, name)}`));
  return parts.length ? `${isOccupancy ? "most at once in 24 h" : "last 24 h"}: ${parts.join(", ")}` : "";
}

/**
 * Steps for uPlot: a value holds until its window ends, and nothing is drawn where no window of its class follows.
 * @param {Day} day @param {string[]} names @returns {(number | null)[][]} times in s, then one column a class
 */
function steps(day, names) {
  /** @type {(number | null)[][]} */
  const columns = [[], ...names.map(() => [])];
  const push = (/** @type {number} */ ms, /** @type {Counts | null} */ counts) => {
    columns[0].push(ms / 1000);
    names.forEach((name, index) => columns[index + 1].push(countOf(counts, name)));
  };
  day.points.forEach((point, index) => {
    push(point.start_ms, point.counts);
    const next = day.points[index + 1];
    if (!next || next.start_ms - point.end_ms > (point.end_ms - point.start_ms) / 2) {
      push(point.end_ms, point.counts);
      push(point.end_ms + 1, null);
    } else if (names.some((name) => Object.hasOwn(point.counts, name) && !Object.hasOwn(next.counts, name))) {
      push(next.start_ms - 1, point.counts); // another model begins
    }
  });
  return columns;
}

/** @param {string} tag @param {string} text @param {string} [series] @returns {HTMLElement} */
function element(tag, text, series) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (series) made.dataset.series = series;
  return made;
}

/** One trap's card: shows what it is told and draws its day. */
class TrapCard {
  /** @param {HTMLElement} root @param {Promise<any>} library */
  constructor(root, library) {
    this.root = root;
    this.library = library;
    this.path = `/api/v1/traps/${root.dataset.tenant}/${root.dataset.trap}`;
    this.newest = Number(this.field("newest").dataset.ms) || 0;
    this.counted = Number(this.field("time").dataset.ms) || 0;
    this.drawn = "";
    /** @type {any} */
    this.plot = null;
    /** @type {Day | null} */
    this.day = null;
    this.pending = 0;
    this.visible = false;
    this.settle();
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.field("curve"));
    new IntersectionObserver((entries) => this.see(entries[entries.length - 1].isIntersecting)).observe(root);
  }

  /** @param {boolean} visible A card out of sight draws nothing until it is scrolled to. */
  see(visible) {
    this.visible = visible;
    if (visible) this.draw();
  }

  /** @param {string} name @returns {HTMLElement} */
  field(name) {
    return /** @type {HTMLElement} */ (this.root.querySelector(`[data-field="${name}"]`));
  }

  /** Formats what the server wrote in UTC for the reader's own time. */
  settle() {
    this.showTime("time", this.counted || null, "");
    this.showTime("newest", this.newest || null, "");
    this.showTime("complete", Number(this.field("complete").dataset.ms) || null, "not known");
    const status = this.field("status");
    this.showStatus(status.dataset.status ?? "", Number(status.dataset.seen) || null);
  }

  /** @param {Window} window A backlog, older than what is shown, belongs to the curve only. */
  showWindow(window) {
    this.drawSoon();
    if (window.counts && window.start_ms >= this.counted) this.showCounts(window, window.counts);
    if (window.start_ms >= this.newest) this.showEffort(window);
    const isBlind = this.newest > this.counted;
    this.field("blind").toggleAttribute("hidden", !isBlind);
    this.root.querySelector(".now")?.classList.toggle("unseen", isBlind && this.counted > 0);
  }

  /** @param {Window} window @param {Counts} counts */
  showCounts(window, counts) {
    this.counted = window.start_ms;
    const series = seriesOf(headline(counts));
    this.field("numbers").replaceChildren(...[...series].map(([name, colours]) => {
      const group = element("div", "", colours);
      group.append(element("dt", SEXES.get(name) ?? name), element("dd", String(countOf(counts, name) ?? "–")));
      return group;
    }));
    const others = Object.entries(counts).filter(([name]) => !series.has(name));
    this.field("others").textContent = others.map(([name, count]) => `${name} ${count}`).join(" · ");
    this.field("others").classList.toggle("apart", [...series.keys()].some((name) => SEXES.has(name)));
    this.field("meaning").textContent = window.semantics === "occupancy" ? "in the picture" : "new in the window of";
    this.field("meaning").dataset.semantics = window.semantics;
    this.showTime("time", window.start_ms, "");
  }

  /** @param {Window} window */
  showEffort(window) {
    this.newest = window.start_ms;
    this.showTime("newest", window.start_ms, "");
    this.field("observed").textContent = `${Math.round((100_000 * window.observed_s) / window.duration_ms)} %`;
    this.field("frames").textContent = String(window.frames_analysed);
    this.field("model").textContent = window.model_id;
    this.field("model").title = window.model_sha256;
  }

  /** @param {TrapState} state */
  showState(state) {
    this.showStatus(state.status, state.last_seen_ms);
    this.showTime("complete", state.complete_to_ms, "not known");
  }

  /** @param {string} status @param {number | null} seen */
  showStatus(status, seen) {
    const since = status === "online" || seen === null ? "" : ` since ${moment(seen)}`;
    this.field("status").textContent = status + since;
    this.field("status").dataset.status = status;
    this.root.classList.toggle("stale", status !== "online");
  }

  /** @param {string} name @param {number | null} ms @param {string} otherwise */
  showTime(name, ms, otherwise) {
    const time = /** @type {HTMLTimeElement} */ (this.field(name));
    time.textContent = ms === null ? otherwise : moment(ms, name === "complete" ? clock : seconds);
    time.dateTime = ms === null ? "" : new Date(ms).toISOString();
  }

  /** Fetches and draws the day after a short rest, once for a burst. */
  drawSoon() {
    this.pending ||= window.setTimeout(() => {
      this.pending = 0;
      this.draw();
    }, SETTLE_MS);
  }

  async draw() {
    const Plot = await this.library;
    if (!this.visible) return;
    try {
      const answer = await fetch(`${this.path}/day`);
      if (!answer.ok) return; // the last curve stays; the next window or minute tries again
      this.day = await answer.json();
    } catch {
      return; // no connection: the page's header says so
    }
    const series = seriesOf(drawnIn(this.day));
    this.caption(this.day, series);
    if (Plot) this.plotDay(Plot, this.day, series);
  }

  /** @param {Day} day @param {Map<string, string>} series */
  caption(day, series) {
    const names = [...series.keys()];
    this.field("keys").replaceChildren(...names.map((name) => {
      const key = element("span", SEXES.get(name) ?? name, series.get(name));
      key.className = "key";
      return key;
    }));
    this.field("step").textContent = day.step_ms ? `steps of ${day.step_ms / 60_000} min` : "";
    this.field("totals").textContent = totalsText(day, names);
  }

  /** @param {any} Plot @param {Day} day @param {Map<string, string>} series */
  plotDay(Plot, day, series) {
    const names = [...series.keys()];
    const drawn = JSON.stringify(names);
    if (drawn !== this.drawn) this.plot?.destroy();
    if (this.plot && drawn === this.drawn) this.plot.setData(steps(day, names), false);
    else this.plot = new Plot(this.options(Plot, series), steps(day, names), this.field("curve"));
    this.drawn = drawn;
    this.plot.setScale("x", { min: day.since_ms / 1000, max: Math.max(day.until_ms, day.since_ms + 60_000) / 1000 });
  }

  /** Draws with the colours of the present theme. */
  repaint() {
    this.plot?.destroy();
    this.plot = null;
    this.drawn = "";
    this.draw();
  }

  size() {
    return { width: this.field("curve").clientWidth, height: CURVE_HEIGHT };
  }

  /** @param {any} Plot @param {Map<string, string>} series @returns {object} */
  options(Plot, series) {
    const paths = Plot.paths.stepped({ align: 1 });
    const axis = { stroke: colour("--soft"), font: "12px system-ui, sans-serif", ticks: { show: false } };
    const line = (/** @type {[string, string]} */ [label, name]) => ({
      label, stroke: colour(`--series-${name}`), width: 1.75, paths, points: { show: false }, spanGaps: false,
    });
    return {
      ...this.size(),
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
      scales: { x: { time: true }, y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number | null} */ max) => [0, Math.max(4, (max ?? 0) * 1.1)] } },
      axes: [
        { ...axis, size: 28, space: 80, grid: { show: false }, values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((s) => clock.format(s * 1000)) },
        { ...axis, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], grid: { stroke: colour("--line"), width: 1 } },
      ],
      series: [{}, ...[...series].map(line)],
      hooks: { drawClear: [(/** @type {any} */ plot) => this.shadeGaps(plot)] },
    };
  }

  /** @param {any} plot Shades time without a count, under the curves. */
  shadeGaps(plot) {
    const { left, top, width, height } = plot.bbox;
    plot.ctx.save();
    plot.ctx.fillStyle = colour("--gap");
    for (const gap of this.day?.gaps ?? []) {
      const from = Math.max(left, plot.valToPos(gap.start_ms / 1000, "x", true));
      const to = Math.min(left + width, plot.valToPos(gap.end_ms / 1000, "x", true));
      if (to > from) plot.ctx.fillRect(from, top, Math.max(1, to - from), height);
    }
    plot.ctx.restore();
  }
}

/** @param {string} state @param {string} text */
function showLink(state, text) {
  const link = /** @type {HTMLElement} */ (document.getElementById("link"));
  if (link.dataset.link === state) return;
  link.dataset.link = state;
  link.textContent = text;
}

/** @param {MessageEvent<string>} event @param {(card: TrapCard, data: any) => void} show */
function dispatch(event, show) {
  const data = JSON.parse(event.data);
  const card = cards.get(`${data.tenant}/${data.trap}`);
  if (card) show(card, data);
  else location.reload(); // a trap that this page has never heard of
}

/** @param {string} health Shows the notice, if any, for the state of ingest. */
function showIngest(health) {
  for (const notice of document.querySelectorAll("[data-ingest]")) {
    notice.toggleAttribute("hidden", /** @type {HTMLElement} */ (notice).dataset.ingest !== health);
  }
}

/** @param {string} after id of the last window that this page knows */
function listen(after) {
  let last = after;
  const events = new EventSource(`/api/v1/events?after=${after}`);
  events.addEventListener("open", () => showLink("live", "Live"));
  events.addEventListener("error", () => {
    showLink("lost", `Connection lost at ${moment(Date.now())}; trying again`);
    if (events.readyState === EventSource.CLOSED) window.setTimeout(listen, RETRY_MS, last);
  });
  events.addEventListener("window", (event) => {
    last = event.lastEventId;
    dispatch(event, (card, data) => card.showWindow(data));
  });
  events.addEventListener("trap", (event) => dispatch(event, (card, data) => card.showState(data)));
  events.addEventListener("ingest", (event) => showIngest(JSON.parse(event.data).ingest));
}

function start() {
  const library = loadPlot();
  for (const root of document.querySelectorAll(".trap")) {
    const card = new TrapCard(/** @type {HTMLElement} */ (root), library);
    cards.set(`${card.root.dataset.tenant}/${card.root.dataset.trap}`, card);
  }
  const drawAll = () => cards.forEach((card) => card.draw());
  window.setInterval(drawAll, REFRESH_MS);
  darkness.addEventListener("change", () => cards.forEach((card) => card.repaint()));
  listen(document.body.dataset.newest ?? "0");
}

start();
