// @ts-check
/** One trap: tonight as it is stored, its nights, its effort and gaps, its board, pictures and notes. */

import {
  api, attempt, clock, clockSeconds, context, DASH, day, DAY_MS, dayAndTime, duration, fill, find, h, HOUR_MS, may, moment,
  night, number, percent, plural, say, svg, t, word,
} from "./page.js";
import { canDraw, Chart, steps } from "./charts.js";
import { listen } from "./live.js";
import { stateMark } from "./marks.js";
import { femaleShare } from "./ratio.js";
import { offerSnapshot, showPictures } from "./trap_pictures.js";

/**
 * @typedef {[number, number, number]} Interval estimate, lower and upper bound
 * @typedef {{start: number, end: number, counts: Record<string, number>, corrected: Record<string, Interval> | null,
 *   coverage: number | null, label: string}} Stretch
 * @typedef {{from: number, to: number, reason: string}} Gap
 * @typedef {{stretches: Stretch[], gaps: Gap[], since: number, until: number, step: number, isSum: boolean}} Period
 */

const { tenant, trap } = /** @type {any} */ (context);
const path = `/api/v1/traps/${tenant}/${trap}`;
const SETTLE_MS = 900; // a burst of windows is drawn once
const REFRESH_MS = 60_000;
const WEEK = 7;
const SEASON = 120;
const NIGHT_STEP_MS = 10 * 60_000;
const YOUNG_MS = 10 * HOUR_MS;
const MINUTE_MS = 60_000;
const NEW_MS = 3 * HOUR_MS;
const FEMALE = "Female";
const MALE = "Male";
const MOST_GAPS = 8;
const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4"];

const charts = { counts: new Chart(find("counts")), effort: new Chart(find("effort")), shares: new Chart(find("shares")) };
const view = { period: new URLSearchParams(location.search).get("period") ?? "night", kind: "raw", climate: false };
/** @type {any} the row of the fleet */
let row = null;
/** @type {any} the trap itself */
let record = null;
/** @type {Period | null} */
let shown = null;
/** @type {Stretch[]} nights of the season */
let season = [];
let zone = "";
let pending = 0;

/** @param {any} answer of /curve @param {number} since @param {number} until @returns {Period} */
function ofCurve(answer, since, until) {
  const stretches = answer.stretches.map((/** @type {any} */ one) => ({
    start: one.start_ms, end: one.end_ms, counts: one.counts, corrected: one.corrected,
    coverage: Math.min(1, (one.observed_s * 1000) / (one.end_ms - one.start_ms)), label: `${clock(one.start_ms, zone)}${DASH}${clock(one.end_ms, zone)}`,
  }));
  const gaps = answer.gaps.map((/** @type {any} */ gap) => ({ from: gap.start_ms, to: gap.end_ms, reason: gap.reason }));
  return { stretches, gaps, since, until, step: answer.step_ms, isSum: answer.semantics !== "occupancy" };
}

/** @param {any[]} rows of /nights or /hours @param {number} since @param {number} until @param {number} step @returns {Period} */
function ofRows(rows, since, until, step) {
  /** @type {Stretch[]} */
  const stretches = rows.filter((one) => one.counts !== null).map((one) => ({
    start: one.begins_ms, end: Math.min(one.ends_ms, Math.max(Date.now(), one.begins_ms + 1)), counts: one.counts, corrected: one.corrected ?? null,
    coverage: one.coverage ?? Math.min(1, (one.observed_s * 1000) / (one.ends_ms - one.begins_ms)),
    label: one.night && step >= DAY_MS ? night(one.night) : `${day(one.begins_ms, zone)}, ${clock(one.begins_ms, zone)}`,
  }));
  const gaps = between(stretches, since, Math.min(until, Date.now()), step);
  return { stretches, gaps, since, until, step, isSum: rows.every((one) => one.statistic === "sum") };
}

/** @param {Stretch[]} stretches @param {number} since @param {number} until @param {number} step @returns {Gap[]} */
function between(stretches, since, until, step) {
  const gaps = [];
  let reach = since;
  for (const one of stretches) {
    if (one.start - reach > step / 2) gaps.push({ from: reach, to: one.start, reason: "missing" });
    reach = Math.max(reach, one.end);
  }
  if (until - reach > step) gaps.push({ from: reach, to: until, reason: "missing" });
  return gaps;
}

/** @param {string} kind nights or hours @param {number} days @returns {Promise<any[]>} those of this trap, by time, of its newest way of counting */
async function rowsOf(kind, days) {
  const since = new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 10);
  const rows = /** @type {any[]} */ ([]);
  let cursor = "";
  do {
    const query = new URLSearchParams({ tenant, trap, since, ...(cursor ? { cursor } : {}) });
    const answer = await api(`/api/v1/${kind}?${query}`);
    rows.push(...answer.rows);
    cursor = answer.next_cursor;
  } while (cursor);
  rows.sort((a, b) => a.begins_ms - b.begins_ms);
  return rows.filter((one) => one.semantics === rows[rows.length - 1].semantics);
}

/** @returns {Promise<Period>} */
async function load() {
  const now = Date.now();
  if (view.period === "night") {
    const since = row?.night_begins_ms ?? now - DAY_MS;
    const isYoung = now - since < YOUNG_MS; // until then the night before is shown with it
    const begin = isYoung ? since - DAY_MS : since;
    const until = isYoung ? now : since + DAY_MS;
    const ask = (/** @type {number} */ step) => api(`${path}/curve?since=${begin}&until=${until}&step=${step}`);
    const answer = await ask(NIGHT_STEP_MS);
    const first = answer.first_ms ?? begin;
    if (now - first > NEW_MS) return ofCurve(answer, Math.max(begin, first), until);
    return ofCurve(await ask(MINUTE_MS), first, Math.max(now, first + MINUTE_MS)); // a trap that has just begun
  }
  if (view.period === "week") return ofRows(await rowsOf("hours", WEEK), now - WEEK * DAY_MS, now, HOUR_MS);
  const rows = await rowsOf("nights", SEASON);
  const first = rows.length ? rows[0].begins_ms : now - DAY_MS;
  return ofRows(rows, Math.max(first, now - SEASON * DAY_MS), now, DAY_MS);
}

/** @param {Period} period @returns {{name: string, label: string, colour: string, dash?: number[]}[]} the classes that are drawn */
function classesOf(period) {
  const known = [...new Set([...period.stretches].reverse().flatMap((one) => Object.keys(one.counts)))];
  if (known.includes(FEMALE) || known.includes(MALE)) {
    return [{ name: FEMALE, label: t("fleet.females"), colour: "--female" }, { name: MALE, label: t("fleet.males"), colour: "--male", dash: [6, 3] }];
  }
  return known.slice(0, SERIES.length).map((name, index) => ({ name, label: name, colour: SERIES[index], dash: index % 2 ? [6, 3] : undefined }));
}

/** @param {Stretch} one @param {string} name @returns {number | null} */
function valueOf(one, name) {
  if (view.kind === "corrected") return one.corrected?.[name]?.[0] ?? null;
  return Object.hasOwn(one.counts, name) ? one.counts[name] : null;
}

/** @param {Period} period */
async function drawCounts(period) {
  const classes = classesOf(period);
  const corrected = view.kind === "corrected";
  const readers = classes.map(({ name }) => (/** @type {Stretch} */ one) => valueOf(one, name));
  const bounds = corrected ? classes.flatMap(({ name }) => [1, 2].map((at) => (/** @type {Stretch} */ one) => one.corrected?.[name]?.[at] ?? null)) : [];
  const { times, columns } = steps(period.stretches, [...readers, ...bounds, (one) => (one.coverage === null ? null : one.coverage * 100)]);
  const series = classes.map((one, index) => ({ label: one.label, colour: one.colour, dash: one.dash, values: columns[index] }));
  const bands = corrected ? classes.map((one, index) => ({ colour: one.colour, low: columns[classes.length + 2 * index], high: columns[classes.length + 2 * index + 1] })) : [];
  const frame = { gaps: period.gaps, since: period.since, until: period.until, zone, dates: view.period !== "night" };
  const drawing = { ...frame, times, series: /** @type {any[]} */ (series), bands, height: 0 };
  if (view.climate) await addClimate(drawing, period);
  await charts.counts.draw(drawing);
  const effort = [{ label: t("fleet.coverage"), colour: "--accent", fill: "--accent", width: 1, values: columns[columns.length - 1] }];
  await charts.effort.draw({ ...frame, bare: true, times, series: effort, max: 100, percent: true, height: 0 });
  const hasClimate = drawing.series.length > classes.length;
  fill("keys", ...classes.map((one) => key(one.label, one.colour, one.dash ? "dashed" : "")),
    corrected ? h("span", { class: "key band" }, t("trap.interval")) : null,
    hasClimate ? [key(t("trap.air"), "--warn", "dotted"), key(t("trap.humidity"), "--other", "dotted")] : null,
    h("span", { class: "key gap" }, t("trap.gap")), h("span", {}, t("trap.effort")));
  const missing = corrected && !period.stretches.some((one) => one.corrected);
  find("remark").textContent = missing ? t("trap.no_corrected") : view.climate && !hasClimate ? t("trap.no_climate") : period.isSum ? "" : t("trap.occupancy");
  charts.counts.place.dataset.drawn = view.period;
}

/** @param {string} label @param {string} colour a token @param {string} kind @returns {HTMLElement} */
function key(label, colour, kind) {
  const made = h("span", { class: `key ${kind}` }, label);
  made.style.color = `var(${colour})`;
  return made;
}

/** @param {any} drawing @param {Period} period Adds temperature and humidity on a scale of their own. */
async function addClimate(drawing, period) {
  const { points } = await api(`${path}/health?since=${Math.floor(period.since)}&until=${Math.floor(Math.max(period.until, period.since + 1))}&most=400`);
  const known = points.filter((/** @type {any} */ one) => one.air_celsius !== null || one.humidity_percent !== null);
  if (!known.length) return;
  const at = [...new Set([...drawing.times, ...known.map((/** @type {any} */ one) => one.wall_ms)])].sort((a, b) => a - b);
  const before = new Map(drawing.times.map((/** @type {number} */ ms, /** @type {number} */ index) => [ms, index]));
  const spread = (/** @type {any[]} */ values) => {
    let last = /** @type {any} */ (null);
    return at.map((ms) => {
      const index = before.get(ms);
      if (index !== undefined) last = values[Number(index)];
      return last;
    });
  };
  const reports = new Map(known.map((/** @type {any} */ one) => [one.wall_ms, one]));
  const reported = (/** @type {string} */ name) => {
    let last = /** @type {any} */ (null);
    return at.map((ms) => {
      const one = reports.get(ms);
      if (one) last = { ms, value: /** @type {any} */ (one)[name] };
      return last && ms - last.ms < 3 * HOUR_MS ? last.value : null;
    });
  };
  drawing.times = at;
  for (const one of drawing.series) one.values = spread(one.values);
  for (const band of drawing.bands) [band.low, band.high] = [spread(band.low), spread(band.high)];
  drawing.series.push({ label: t("trap.air"), colour: "--warn", dash: [2, 3], width: 1.5, axis: "right", steps: false, values: reported("air_celsius") });
  drawing.series.push({ label: t("trap.humidity"), colour: "--other", dash: [2, 3], width: 1.5, axis: "right", steps: false, values: reported("humidity_percent") });
}

/** @param {Stretch[]} nights The share of females by night with its interval; a night with nothing sexed has none. */
async function drawShares(nights) {
  const middle = (/** @type {Stretch} */ one) => (one.start + one.end) / 2;
  const ratios = nights.map((one) => femaleShare(one.counts[FEMALE], one.counts[MALE]));
  const column = (/** @type {"share" | "low" | "high"} */ name) => ratios.map((ratio) => (ratio ? ratio[name] * 100 : null));
  find("share-note").textContent = ratios.some(Boolean) ? t("trap.share_note") : t("ratio.none");
  if (!nights.length) return;
  const gaps = between(nights, nights[0].start, nights[nights.length - 1].end, DAY_MS);
  const times = [...nights.map(middle), ...gaps.map((gap) => (gap.from + gap.to) / 2)].sort((a, b) => a - b); // where the line breaks
  const at = new Map(nights.map((one, index) => [middle(one), index]));
  const spread = (/** @type {(number | null)[]} */ values) => times.map((ms) => values[at.get(ms) ?? -1] ?? null);
  const [shares, low, high] = /** @type {const} */ (["share", "low", "high"]).map((name) => spread(column(name)));
  await charts.shares.draw({
    times, zone, dates: true, max: 100, percent: true, height: 0,
    since: nights[0].start - DAY_MS / 4, until: nights[nights.length - 1].start + 1.1 * DAY_MS,
    gaps, series: [{ label: t("fleet.share"), colour: "--female", values: shares, steps: false, points: true, width: 1 }],
    bands: [{ low, high, colour: "--female" }],
  });
}

/** Catch by hour of the day where the trap stands, an hour of effort each; hours never watched are hatched. */
async function drawProfile() {
  const rows = await rowsOf("hours", 14);
  const hours = Array.from({ length: 24 }, () => ({ observed: 0, f: 0, m: 0 }));
  const format = new Intl.DateTimeFormat("en", { hour: "2-digit", hourCycle: "h23", timeZone: zone || undefined });
  for (const one of rows) {
    const hour = hours[Number(format.format(one.begins_ms))];
    if (one.counts === null || !one.observed_s) continue;
    hour.observed += one.observed_s / 3600;
    hour.f += one.females ?? 0;
    hour.m += one.males ?? 0;
  }
  const order = Array.from({ length: 24 }, (_, index) => (index + 12) % 24);
  const rates = hours.map((hour) => ({ f: hour.observed ? hour.f / hour.observed : 0, m: hour.observed ? hour.m / hour.observed : 0 }));
  const most = Math.max(0.1, ...rates.flatMap((rate) => [rate.f, rate.m]));
  const bar = (/** @type {number} */ at) => {
    const { f, m } = rates[at];
    const text = hours[at].observed ? t("trap.profile_tip", { hour: `${at}:00`, females: number(f, 1), males: number(m, 1) }) : t("trap.profile_unseen", { hour: `${at}:00` });
    return h("div", { class: `hour${hours[at].observed ? "" : " unseen"}`, title: text }, svg("svg", { viewBox: "0 0 10 100", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "f", x: 0.5, width: 4.3, y: 100 - (100 * f) / most, height: (100 * f) / most }),
      svg("rect", { class: "m", x: 5.2, width: 4.3, y: 100 - (100 * m) / most, height: (100 * m) / most })));
  };
  const peak = order.reduce((best, at) => (rates[at].f + rates[at].m > rates[best].f + rates[best].m ? at : best), order[0]);
  const summary = hours.some((hour) => hour.observed) ? t("trap.profile_peak", { hour: `${peak}:00`, females: number(rates[peak].f, 1), males: number(rates[peak].m, 1) }) : t("trap.nothing");
  fill("profile", h("div", { class: "bars", role: "img", "aria-label": summary }, order.map(bar)),
    h("div", { class: "hours", "aria-hidden": "true" }, order.map((at) => h("span", {}, at % 3 ? "" : String(at)))),
    h("div", { class: "keys" }, h("span", { class: "key female" }, t("fleet.females")), h("span", { class: "key male" }, t("fleet.males"))));
  find("profile-note").textContent = rows.length && rows.every((one) => one.statistic !== "sum") ? t("trap.occupancy") : `${summary} ${t("trap.profile_note")}`;
}

function showRow() {
  const { name, site, timezone, status } = row;
  find("name").textContent = name || trap;
  fill("status", stateMark(status), status !== "online" && row.last_seen_ms ? h("span", { class: "soft" }, ` ${t("trap.since", { time: moment(row.last_seen_ms, zone) })}`) : null);
  fill("where", [name ? trap : null, site, tenant, timezone || t("trap.no_zone")].filter(Boolean).join(" · "));
  const ratio = femaleShare(row.females, row.males);
  const what = row.semantics === "occupancy" ? t("trap.at_once") : t("fleet.caught");
  fill("females", number(row.females), h("small", {}, row.females === null && row.counts ? classText(row.counts) : what));
  fill("males", number(row.males), h("small", {}, what));
  fill("share", ratio ? percent(ratio.share) : DASH, h("small", {}, ratio ? t("ratio.interval", { low: percent(ratio.low), high: percent(ratio.high) }) : t("ratio.none")));
  fill("coverage", percent(row.coverage), h("small", {}, row.coverage !== null && row.coverage < 0.8 ? t("coverage.low") : t("trap.of_night")));
  const behind = row.complete_to_ms === null ? null : (Date.now() - row.complete_to_ms) / 1000;
  fill("complete", row.complete_to_ms === null ? DASH : clock(row.complete_to_ms, zone), h("small", {}, behind === null ? t("complete.unknown") : behind > 900 ? t("complete.late", { behind: duration(behind) }) : day(row.complete_to_ms, zone)));
}

/** @param {any} window the newest that is stored */
function showWindow(window) {
  if (!window) return;
  const counts = window.counts;
  const text = counts === null ? t("trap.blind") : classText(counts);
  fill("newest", clockSeconds(window.start_ms, zone), h("small", {}, text));
}

/** @param {Record<string, number>} counts @returns {string} */
const classText = (counts) => Object.entries(counts).map(([name, count]) => `${word("class", name)} ${number(count)}`).join(" · ");

function showModel() {
  const model = record.window;
  fill("model", ...facts([
    [t("model.name"), model?.model_id ?? DASH],
    [t("model.digest"), model ? h("code", {}, `${model.model_sha256.slice(0, 16)}…`) : DASH],
    [t("model.threshold"), record.threshold === null ? DASH : number(record.threshold, 2)],
    [t("model.classes"), record.classes.map((/** @type {string} */ name) => word("class", name)).join(", ") || DASH],
    [t("model.semantics"), model ? word("semantics", model.semantics) : DASH],
    [t("model.runtime"), record.backend || DASH],
    [t("model.agent"), [record.agent_version, record.board].filter(Boolean).join(" · ") || DASH],
    [t("model.clock"), model ? word("clock", model.clock_method) : DASH],
  ]));
}

/** @param {[string, any][]} pairs @returns {HTMLElement[]} */
const facts = (pairs) => pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);

async function showHealth() {
  const now = Date.now();
  const { points } = await api(`${path}/health?since=${now - 2 * DAY_MS}&until=${now + HOUR_MS}&most=2`);
  const last = points[points.length - 1];
  find("health-time").textContent = last ? moment(last.received_at_ms, zone) : t("health.none");
  if (!last) {
    fill("health");
    return;
  }
  const unit = (/** @type {number | null} */ value, /** @type {string} */ sign, digits = 0) => (value === null ? DASH : `${number(value, digits)}\u202f${sign}`);
  fill("health", ...facts([
    [t("health.battery"), unit(last.battery_volts, "V", 1)],
    [t("health.air"), last.air_celsius === null ? DASH : `${unit(last.air_celsius, "°C", 1)}, ${unit(last.humidity_percent, "%")}`],
    [t("health.board"), unit(last.soc_celsius, "°C")],
    [t("health.power"), last.throttle === null ? DASH : last.throttle.length ? h("span", { class: "tag warn" }, last.throttle.join(", ")) : t("health.good")],
    [t("health.disk"), last.disk_free_mb === null ? DASH : unit(last.disk_free_mb / 1000, "GB", 1)],
    [t("health.memory"), unit(last.memory_mb, "MB")],
    [t("health.camera"), unit(last.camera_fps, "fps", 1)],
    [t("health.lens"), last.lens === null ? DASH : last.lens === "clear" ? t("health.clear") : h("span", { class: "tag warn" }, word("lens", last.lens))],
    [t("health.held"), number(last.outbox_held)],
    [t("health.uptime"), last.uptime_s === null ? DASH : duration(last.uptime_s)],
  ]));
}

/** @param {Period} period */
function showGaps(period) {
  const longest = [...period.gaps].sort((a, b) => b.to - b.from - (a.to - a.from)).slice(0, MOST_GAPS).sort((a, b) => a.from - b.from);
  const total = period.gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0) / 1000;
  fill("gaps", period.gaps.length
    ? [h("p", { class: "soft small" }, `${plural("gaps.count", period.gaps.length)}, ${duration(total)}`), h("ul", { class: "gap-list" }, longest.map((gap) =>
      h("li", {}, h("span", {}, `${moment(gap.from, zone)} ${DASH} ${clock(gap.to, zone)}`), h("span", { class: "soft" }, `${word("gap", gap.reason)}, ${duration((gap.to - gap.from) / 1000)}`))))]
    : h("p", { class: "soft" }, t("gaps.none")));
}

async function showNotes() {
  const { notes } = await api(`${path}/notes`);
  find("note-form").hidden = !may("operator");
  fill("notes", notes.length ? notes.map((/** @type {any} */ note) => h("li", {}, h("span", {}, note.kind ? h("span", { class: "tag" }, word("note", note.kind)) : null, ` ${note.text}`), h("small", {}, `${dayAndTime(note.at_ms, zone)} · ${note.by ?? ""}`)))
    : h("li", { class: "soft" }, t("note.none")));
}

/** Loads the chosen period again and draws all that depends on it. */
async function refresh() {
  const period = await load();
  shown = period;
  await drawCounts(period);
  showGaps(period);
}

/** After a burst has settled: the curve, once. */
function refreshSoon() {
  pending ||= window.setTimeout(() => {
    pending = 0;
    attempt(refresh);
  }, SETTLE_MS);
}

/** @param {string} group @param {string} name @param {(value: string) => void} chosen */
function switches(group, name, chosen) {
  const buttons = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(`#${group} button`));
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      chosen(button.dataset[name] ?? "");
    });
  }
}

/** @param {number | null} index of a time of the curve */
function tell(index) {
  const drawing = charts.counts.drawing;
  if (index === null || !drawing) return fill("point", "");
  const at = drawing.times[index];
  const one = shown?.stretches.find((stretch) => stretch.start <= at && at <= stretch.end);
  if (!one) return fill("point", t("trap.gap"));
  const parts = drawing.series.map((series) => (series.values[index] === null || series.values[index] === undefined ? null : `${series.label} ${number(series.values[index], view.kind === "raw" && series.axis !== "right" ? 0 : 1)}`));
  fill("point", [one.label, ...parts, `${t("fleet.coverage")} ${percent(one.coverage)}`].filter(Boolean).join(" · "));
}

/** The trap itself first; what is drawn follows. */
async function loadTrap() {
  [record, row] = await Promise.all([api(path), api(`/api/v1/fleet?tenant=${tenant}&trap=${trap}`).then((answer) => answer.rows[0])]);
  zone = row.timezone;
  showRow();
  showWindow(record.window);
  showModel();
}

async function loadRest() {
  await refresh();
  await Promise.all([showHealth(), showPictures(zone), showNotes(), drawProfile(), rowsOf("nights", SEASON).then((rows) => {
    season = ofRows(rows, 0, Date.now(), DAY_MS).stretches;
    return drawShares(season.slice(-60));
  })]);
}

function start() {
  canDraw().then((can) => find("no-curves").toggleAttribute("hidden", can));
  offerSnapshot();
  switches("periods", "period", (period) => {
    view.period = period;
    attempt(refresh);
  });
  switches("kinds", "kind", (kind) => {
    view.kind = kind;
    if (shown) drawCounts(shown);
  });
  find("climate").addEventListener("change", (/** @type {any} */ event) => {
    view.climate = event.target.checked;
    if (shown) attempt(() => drawCounts(/** @type {Period} */ (shown)));
  });
  charts.counts.place.addEventListener("point", (event) => tell(/** @type {CustomEvent} */ (event).detail));
  fill("note-kind", ["bait", "lens", "moved", "emptied", "other"].map((kind) => h("option", { value: kind }, word("note", kind))));
  find("note-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    attempt(async () => {
      await api(`${path}/notes`, { method: "POST", body: { kind: find("note-kind").value, text: find("note-text").value, at_ms: Date.now() } });
      find("note-text").value = "";
      await showNotes();
      say(t("note.added"), "good");
    });
  });
  if (view.period !== "night") /** @type {HTMLElement | null} */ (document.querySelector(`[data-period="${CSS.escape(view.period)}"]`))?.click();
  attempt(async () => {
    await loadTrap();
    listen({ trap: `${tenant}/${trap}` }, {
      window: (window) => {
        if (!record.window || window.start_ms >= record.window.start_ms) {
          record.window = window;
          showWindow(window);
          showModel();
        }
        refreshSoon();
      },
      row: (news) => {
        row = news;
        showRow();
      },
      picture: () => attempt(() => showPictures(zone)),
    }, () => attempt(async () => {
      await loadTrap();
      await loadRest();
    }));
    await loadRest();
  });
  setInterval(() => attempt(loadRest), REFRESH_MS);
}

start();
