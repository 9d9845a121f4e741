// @ts-check
/** Keeps the fleet page live: numbers by Server-Sent Events, curves from the day's points and gaps. */

/**
 * @typedef {{tenant: string, trap: string, wall_ms: number, duration_ms: number, semantics: string,
 *   counts: Record<string, number> | null, frames_analysed: number, observed_s: number,
 *   model_id: string, model_sha256: string}} Window
 * @typedef {{tenant: string, trap: string, status: string, last_seen_ms: number | null,
 *   complete_to_ms: number | null}} TrapState
 * @typedef {{start_ms: number, end_ms: number, females: number | null, males: number | null}} Point
 * @typedef {{start_ms: number, end_ms: number, reason: string}} Gap
 * @typedef {{since_ms: number, until_ms: number, step_ms: number | null, points: Point[], gaps: Gap[]}} Day
 */

const CURVE_HEIGHT = 190;
const REFRESH_MS = 60_000; // moves "now" along the time axis, and draws gaps that grow
const SETTLE_MS = 1_000; // a burst of windows is drawn once
const RETRY_MS = 5_000; // a browser gives up by itself after an answer that is an error
const MEANINGS = new Map([["occupancy", "in the picture"]]);

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

/**
 * Steps for uPlot: a value holds until its window ends, and nothing is drawn where no window follows.
 * @param {Day} day @returns {(number | null)[][]}
 */
function steps(day) {
  /** @type {(number | null)[][]} */
  const [times, females, males] = [[], [], []];
  const push = (/** @type {number} */ ms, /** @type {number | null} */ female, /** @type {number | null} */ male) => {
    times.push(ms / 1000);
    females.push(female);
    males.push(male);
  };
  day.points.forEach((point, index) => {
    push(point.start_ms, point.females, point.males);
    const next = day.points[index + 1];
    if (!next || next.start_ms - point.end_ms > (point.end_ms - point.start_ms) / 2) {
      push(point.end_ms, point.females, point.males);
      push(point.end_ms + 1, null, null);
    }
  });
  return [times, females, males];
}

/** One trap's card: shows what it is told and draws its day. */
class TrapCard {
  /** @param {HTMLElement} root @param {Promise<any>} library */
  constructor(root, library) {
    this.root = root;
    this.library = library;
    this.path = `/api/v1/traps/${root.dataset.tenant}/${root.dataset.trap}`;
    this.newest = Number(this.field("time").dataset.ms) || 0;
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
    this.showTime("time", this.newest || null, "");
    this.showTime("complete", Number(this.field("complete").dataset.ms) || null, "not known");
    const status = this.field("status");
    this.showStatus(status.dataset.status ?? "", Number(status.dataset.seen) || null);
  }

  /** @param {Window} window */
  showWindow(window) {
    this.drawSoon();
    if (window.wall_ms < this.newest) return; // backlog: it belongs to the curve only
    this.newest = window.wall_ms;
    const counts = window.counts ?? {};
    this.field("females").textContent = String(counts.Female ?? "–");
    this.field("males").textContent = String(counts.Male ?? "–");
    this.field("others").textContent = Object.entries(counts)
      .filter(([name]) => name !== "Female" && name !== "Male")
      .map(([name, count]) => `${name} ${count}`)
      .join(" · ");
    const meaning = MEANINGS.get(window.semantics) ?? "new in the last window";
    this.field("meaning").textContent = window.counts ? meaning : "nothing seen: no picture could be analysed";
    this.showTime("time", window.wall_ms, "");
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
    const element = /** @type {HTMLTimeElement} */ (this.field(name));
    element.textContent = ms === null ? otherwise : moment(ms, name === "time" ? seconds : clock);
    element.dateTime = ms === null ? "" : new Date(ms).toISOString();
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
    if (!Plot || !this.visible) return;
    try {
      const answer = await fetch(`${this.path}/day`);
      if (!answer.ok) return; // the last curve stays; the next window or minute tries again
      this.day = await answer.json();
    } catch {
      return; // no connection: the page's header says so
    }
    this.field("step").textContent = this.day.step_ms ? `steps of ${this.day.step_ms / 60_000} min` : "";
    if (this.plot) this.plot.setData(steps(this.day), false);
    else this.plot = new Plot(this.options(Plot), steps(this.day), this.field("curve"));
    this.plot.setScale("x", { min: this.day.since_ms / 1000, max: Math.max(this.day.until_ms, this.day.since_ms + 60_000) / 1000 });
  }

  /** Draws with the colours of the present theme. */
  repaint() {
    this.plot?.destroy();
    this.plot = null;
    this.draw();
  }

  size() {
    return { width: this.field("curve").clientWidth, height: CURVE_HEIGHT };
  }

  /** @param {any} Plot @returns {object} */
  options(Plot) {
    const paths = Plot.paths.stepped({ align: 1 });
    const axis = { stroke: colour("--soft"), font: "12px system-ui, sans-serif", ticks: { show: false } };
    const series = (/** @type {string} */ label, /** @type {string} */ name) => ({
      label, stroke: colour(name), width: 1.75, paths, points: { show: false }, spanGaps: false,
    });
    return {
      ...this.size(),
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
      scales: { x: { time: true }, y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number | null} */ max) => [0, Math.max(4, (max ?? 0) * 1.1)] } },
      axes: [
        { ...axis, size: 28, grid: { show: false }, values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((s) => clock.format(s * 1000)) },
        { ...axis, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], grid: { stroke: colour("--line"), width: 1 } },
      ],
      series: [{}, series("Females", "--female"), series("Males", "--male")],
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
