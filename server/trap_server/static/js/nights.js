// @ts-check
/** Trap-nights with their effort and problems; sites or periods side by side; downloads in the export formats. */

import { api, attempt, context, DASH, DAY_MS, duration, fill, find, h, night, number, percent, plural, request, say, t, word } from "./page.js";
import { listen } from "./live.js";
import { meter } from "./marks.js";
import { femaleShare, ratioMark } from "./ratio.js";

/** @typedef {any} Night a row of /nights */
/** @typedef {{name: string, number?: boolean, value: (row: any) => any, sort: (row: any) => string | number | null}} Column */

const MOST_ROWS = 5_000;
const NEEDED = 0.8; // share of a night, below which its counts are doubtful
const KEPT_MS = 60_000; // a browser may still be reading the file
const FORMATS = ["csv", "parquet", "vectorsurv", "dwca", "camtrap", "miread", "vecdyn"];
const collator = new Intl.Collator(context.language, { numeric: true });
const asked = new URLSearchParams(location.search);
const iso = (/** @type {number} */ ms) => new Date(ms).toISOString().slice(0, 10);
const view = {
  since: asked.get("since") ?? iso(Date.now() - 13 * DAY_MS), until: asked.get("until") ?? iso(Date.now()),
  search: asked.get("search") ?? "", view: asked.get("view") ?? "nights", problems: asked.has("problems"), sort: "", down: false,
};
/** @type {Night[]} */
let rows = [];
/** @type {Night[]} of the period of the same length before */
let before = [];

/** @param {string} since @param {string} until @returns {Promise<Night[]>} */
async function load(since, until) {
  const found = [];
  let cursor = "";
  do {
    const answer = await api(`/api/v1/nights?${new URLSearchParams({ since, until, limit: "1000", ...(cursor ? { cursor } : {}) })}`);
    found.push(...answer.rows);
    cursor = answer.next_cursor;
  } while (cursor && found.length < MOST_ROWS);
  if (cursor) say(t("nights.too_many", { n: number(MOST_ROWS) }));
  return found;
}

/** @param {Night} row @returns {boolean} */
function isWanted(row) {
  if (view.problems && !problems(row).length) return false;
  const text = `${row.trap} ${row.name} ${row.site} ${row.tenant}`.toLowerCase();
  return view.search.toLowerCase().split(/\s+/).every((part) => text.includes(part));
}

/** @param {Night} row @returns {boolean} */
const isRunning = (row) => Boolean(row.night) && row.ends_ms > Date.now();
/** @param {Night} row @returns {number | null} seconds that should be observed by now; of a night that goes on, those so far */
const dueOf = (row) => (isRunning(row) ? Math.max(1, (Date.now() - row.begins_ms) / 1000) : row.expected_s);
/** @param {Night} row @returns {number | null} */
const coverageOf = (row) => (isRunning(row) ? Math.min(1, row.observed_s / Number(dueOf(row))) : row.coverage);

/** @param {Night} row @returns {string[]} keys of what may make the night doubtful */
function problems(row) {
  return [
    row.counts === null ? "unseen" : (isRunning(row) ? Number(coverageOf(row)) < NEEDED : row.problem) ? "coverage" : "",
    row.lost_s ? "lost" : "",
    row.clock_repaired ? "clock" : "",
    row.models.length > 1 ? "models" : "",
    isRunning(row) ? "running" : "",
  ].filter(Boolean);
}

/** @param {Night} row @returns {number | null} */
const others = (row) => (row.counts === null ? null : Object.entries(row.counts).filter(([name]) => !["Female", "Male"].includes(name)).reduce((sum, [, count]) => sum + Number(count), 0));
/** @param {Night} row @returns {string} */
const siteOf = (row) => row.name || row.site || `${row.tenant}/${row.trap}`;

/** @type {Column[]} */
const NIGHTS = [
  { name: "night", value: (row) => h("span", { class: "nowrap" }, row.night ? night(row.night) : DASH), sort: (row) => row.night },
  { name: "trap", value: (row) => h("a", { href: `/traps/${row.tenant}/${row.trap}?period=season` }, row.trap), sort: (row) => row.trap },
  { name: "site", value: (row) => [row.name, row.site].filter(Boolean).join(" · ") || DASH, sort: (row) => row.name || row.site },
  { name: "females", number: true, value: (row) => h("b", { class: "female" }, number(row.females)), sort: (row) => row.females },
  { name: "males", number: true, value: (row) => h("b", { class: "male" }, number(row.males)), sort: (row) => row.males },
  { name: "share", number: true, value: (row) => ratioMark(femaleShare(row.females, row.males)), sort: (row) => femaleShare(row.females, row.males)?.share ?? null },
  { name: "others", number: true, value: (row) => number(others(row)), sort: others },
  { name: "coverage", number: true, value: (row) => meter(coverageOf(row)), sort: coverageOf },
  { name: "observed", number: true, value: (row) => h("span", { class: "nowrap" }, duration(row.observed_s)), sort: (row) => row.observed_s },
  { name: "problems", value: (row) => h("span", { class: "chips" }, problems(row).map((one) => h("span", { class: `tag ${one === "running" ? "" : "warn"}` }, t(`problem.${one}`)))), sort: (row) => problems(row).length },
  { name: "statistic", value: (row) => word("statistic", row.statistic), sort: (row) => row.statistic },
  { name: "model", value: (row) => h("span", { title: row.models.join(", ") }, row.models.map((/** @type {string} */ one) => one.split("@")[0]).join(", ") || DASH), sort: (row) => row.models.join() },
];

/** @type {Column[]} */
const SITES = [
  { name: "site", value: (row) => row.site, sort: (row) => row.site },
  { name: "nights", number: true, value: (row) => t("nights.valid", { valid: number(row.valid), all: number(row.nights) }), sort: (row) => row.valid },
  { name: "females_per", number: true, value: (row) => h("b", { class: "female" }, number(row.perNight("females"), 1)), sort: (row) => row.perNight("females") },
  { name: "males_per", number: true, value: (row) => h("b", { class: "male" }, number(row.perNight("males"), 1)), sort: (row) => row.perNight("males") },
  { name: "females", number: true, value: (row) => number(row.females), sort: (row) => row.females },
  { name: "males", number: true, value: (row) => number(row.males), sort: (row) => row.males },
  { name: "share", number: true, value: (row) => ratioMark(femaleShare(row.females, row.males)), sort: (row) => femaleShare(row.females, row.males)?.share ?? null },
  { name: "coverage", number: true, value: (row) => meter(row.coverage), sort: (row) => row.coverage },
];

/** @type {Column[]} */
const PERIODS = [
  SITES[0],
  { name: "before_per", number: true, value: (row) => number(row.before?.perNight("females"), 1), sort: (row) => row.before?.perNight("females") ?? null },
  { name: "now_per", number: true, value: (row) => h("b", { class: "female" }, number(row.perNight("females"), 1)), sort: (row) => row.perNight("females") },
  { name: "change", number: true, value: change, sort: changeOf },
  { name: "share_before", number: true, value: (row) => ratioMark(femaleShare(row.before?.females, row.before?.males)), sort: (row) => femaleShare(row.before?.females, row.before?.males)?.share ?? null },
  { name: "share", number: true, value: (row) => ratioMark(femaleShare(row.females, row.males)), sort: (row) => femaleShare(row.females, row.males)?.share ?? null },
  { name: "nights_before", number: true, value: (row) => number(row.before?.valid ?? 0), sort: (row) => row.before?.valid ?? 0 },
  { name: "nights", number: true, value: (row) => number(row.valid), sort: (row) => row.valid },
];

/** @param {any} row @returns {number | null} ratio of females a night */
function changeOf(row) {
  const [then, now] = [row.before?.perNight("females"), row.perNight("females")];
  return then && now !== null ? now / then : null;
}

/** @param {any} row @returns {Node | string} */
function change(row) {
  const ratio = changeOf(row);
  if (ratio === null) return DASH;
  return h("span", { class: `change ${ratio > 1 ? "up" : ratio < 1 ? "down" : ""}` }, `×\u202f${number(ratio, 2)}`);
}

/** Sums of one site: only nights that are whole, and only what may be summed, enter the mean of a night. */
class Site {
  /** @param {string} site */
  constructor(site) {
    this.site = site;
    this.nights = this.valid = this.females = this.males = this.observed = this.expected = 0;
    /** @type {Site | null} */
    this.before = null;
  }

  /** @param {Night} row */
  add(row) {
    this.nights += 1;
    this.observed += row.observed_s;
    this.expected += dueOf(row) ?? 0;
    if (row.statistic !== "sum" || row.counts === null || row.problem || isRunning(row)) return;
    this.valid += 1;
    this.females += row.females ?? 0;
    this.males += row.males ?? 0;
  }

  get coverage() {
    return this.expected ? Math.min(1, this.observed / this.expected) : null;
  }

  /** @param {"females" | "males"} name @returns {number | null} */
  perNight(name) {
    return this.valid ? this[name] / this.valid : null;
  }
}

/** @param {Night[]} found @returns {Map<string, Site>} */
function bySite(found) {
  const sites = new Map();
  for (const row of found.filter(isWanted)) {
    const name = siteOf(row);
    if (!sites.has(name)) sites.set(name, new Site(name));
    sites.get(name).add(row);
  }
  return sites;
}

/** @returns {[Column[], any[]]} */
function content() {
  if (view.view === "nights") return [NIGHTS, rows.filter(isWanted)];
  const [now, then] = [bySite(rows), bySite(before)];
  for (const [name, site] of now) site.before = then.get(name) ?? null;
  return [view.view === "sites" ? SITES : PERIODS, [...now.values()]];
}

function paint() {
  const [columns, found] = content();
  const sorted = columns.find((one) => one.name === view.sort) ?? columns[0];
  const down = view.sort === "" ? view.view === "nights" : view.down;
  found.sort((one, other) => {
    const [a, b] = [sorted.sort(one), sorted.sort(other)];
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    const order = typeof a === "string" ? collator.compare(a, String(b)) : a - Number(b);
    return (down ? -order : order) || collator.compare(one.trap ?? "", other.trap ?? "");
  });
  fill("head", h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.number ? "number" : "", "aria-sort": column === sorted ? (down ? "descending" : "ascending") : null },
    h("button", { type: "button", onclick: () => sortBy(column.name, column === sorted ? !down : Boolean(column.number)) }, t(`nights.column.${column.name}`))))));
  fill("rows", found.map((row) => h("tr", { class: row.counts === null ? "unseen" : "" }, columns.map((column) => h("td", { class: `${column.number ? "number" : ""} ${column.name}` }, column.value(row))))));
  find("loading").hidden = true;
  find("none").hidden = found.length > 0;
  paintSums();
}

function paintSums() {
  const total = new Site("");
  for (const row of rows.filter(isWanted)) total.add(row);
  const ratio = femaleShare(total.females, total.males);
  const figure = (/** @type {string} */ name, /** @type {any} */ value, /** @type {string} */ note, look = "") => h("div", {}, h("dt", {}, t(name)), h("dd", { class: look }, value, h("small", {}, note)));
  fill("figures",
    figure("nights.trap_nights", number(total.valid), t("nights.of_all", { n: number(total.nights) })),
    figure("fleet.females", number(total.females), t("nights.per_night", { n: number(total.perNight("females"), 1) }), "female"),
    figure("fleet.males", number(total.males), t("nights.per_night", { n: number(total.perNight("males"), 1) }), "male"),
    figure("fleet.share", ratio ? percent(ratio.share) : DASH, ratio ? t("ratio.interval", { low: percent(ratio.low), high: percent(ratio.high) }) : t("ratio.none")),
    figure("fleet.coverage", percent(total.coverage), t("nights.of_due")),
    figure("nights.with_problems", number(rows.filter(isWanted).filter((row) => problems(row).some((one) => one !== "running")).length), t("nights.flagged")));
  find("range").textContent = `${night(view.since)} ${DASH} ${night(view.until)} · ${plural("nights.count", rows.filter(isWanted).length)}`;
}

/** @param {string} name @param {boolean} down */
function sortBy(name, down) {
  Object.assign(view, { sort: name, down });
  paint();
}

async function show() {
  find("loading").hidden = false;
  fill("rows");
  const query = new URLSearchParams({ since: view.since, until: view.until });
  if (view.search) query.set("search", view.search);
  if (view.view !== "nights") query.set("view", view.view);
  if (view.problems) query.set("problems", "1");
  history.replaceState(null, "", `?${query}`);
  rows = await load(view.since, view.until);
  if (view.view === "periods") {
    const length = Date.parse(view.until) - Date.parse(view.since) + DAY_MS;
    before = await load(iso(Date.parse(view.since) - length), iso(Date.parse(view.since) - DAY_MS));
  }
  paint();
}

/** An export of the nights in view, kept as a file; why there is none is said here. */
async function download() {
  const format = find("format").value;
  const answer = await request(`/api/v1/exports/${format}?${new URLSearchParams({ since: view.since, until: view.until })}`);
  const href = URL.createObjectURL(await answer.blob());
  h("a", { href, download: `zancudo-${format}.zip` }).click();
  setTimeout(() => URL.revokeObjectURL(href), KEPT_MS);
}

function start() {
  for (const name of ["since", "until", "search", "view"]) find(name).value = /** @type {any} */ (view)[name];
  find("problems").checked = view.problems;
  fill("format", FORMATS.map((one) => h("option", { value: one }, t(`format.${one}`))));
  find("filters").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    Object.assign(view, { since: find("since").value, until: find("until").value, search: find("search").value, view: find("view").value, problems: find("problems").checked, sort: "" });
    attempt(show);
  });
  for (const [name, event] of [["search", "input"], ["problems", "change"]]) {
    find(name).addEventListener(event, () => {
      Object.assign(view, { search: find("search").value, problems: find("problems").checked });
      paint();
    });
  }
  find("view").addEventListener("change", () => find("filters").requestSubmit());
  find("print").addEventListener("click", () => window.print());
  find("download").addEventListener("click", () => {
    find("download").disabled = true;
    attempt(download).then(() => (find("download").disabled = false));
  });
  attempt(show);
  listen({}, {});
}

start();
