// @ts-check
/** The fleet: a map and a table of every trap tonight, kept true by the events. */

import { attempt, clock, context, day, duration, fill, find, h, moment, night, number, percent, api, plural, t, word, DASH } from "./page.js";
import { listen } from "./live.js";
import { FleetMap } from "./map.js";
import { meter, shape, stateMark } from "./marks.js";
import { femaleShare, ratioMark } from "./ratio.js";

/**
 * @typedef {{tenant: string, trap: string, name: string, site: string, latitude: number | null, longitude: number | null,
 *   timezone: string, status: string, last_seen_ms: number | null, complete_to_ms: number | null,
 *   window_ms: number | null, semantics: string | null, night: string, night_begins_ms: number,
 *   counts: Record<string, number> | null, females: number | null, males: number | null, coverage: number | null,
 *   battery_volts: number | null, picture_ms: number | null, picture: string | null, alerts: number}} Row
 */

const STATES = ["online", "silent", "offline", "stopped", "unknown"];
const LATE_MS = 15 * 60_000;
const REFRESH_MS = 60_000; // a trap that falls behind becomes late without an event

/** @type {Map<string, Row>} */
const rows = new Map();
/** @type {Map<string, HTMLElement>} table rows by trap */
const lines = new Map();
const collator = new Intl.Collator(context.language, { numeric: true });
const asked = new URLSearchParams(location.search);
const view = {
  search: asked.get("search") ?? "",
  state: asked.get("state") ?? "",
  attention: asked.has("attention"),
  sort: asked.get("sort") ?? "name",
  down: asked.has("down"),
};
/** @type {FleetMap | null} */
let map = null;
let dirty = false;

/** @param {{tenant: string, trap: string}} row @returns {string} */
const keyOf = (row) => `${row.tenant}/${row.trap}`;
/** @param {Row} row @returns {boolean} whether what should be stored by now is not */
const isLate = (row) => row.complete_to_ms === null || Date.now() - row.complete_to_ms > LATE_MS + (row.window_ms ?? 0);
/** @param {Row} row @returns {boolean} */
const needsAttention = (row) =>
  ["silent", "offline"].includes(row.status) || row.alerts > 0 || (row.coverage !== null && row.coverage < 0.8) || (row.status === "online" && isLate(row));

/** @type {Record<string, (row: Row) => string | number | null>} what each column is sorted by */
const SORTS = {
  name: (row) => row.name || row.trap,
  status: (row) => STATES.indexOf(row.status),
  females: (row) => row.females,
  males: (row) => row.males,
  share: (row) => femaleShare(row.females, row.males)?.share ?? null,
  coverage: (row) => row.coverage,
  complete: (row) => row.complete_to_ms,
  battery: (row) => row.battery_volts,
  picture: (row) => row.picture_ms,
};

/** @param {Row} one @param {Row} other @returns {number} what is not known comes last, whichever way */
function compare(one, other) {
  const [a, b] = [SORTS[view.sort](one), SORTS[view.sort](other)];
  if (a === null || b === null) return a === b ? collator.compare(one.trap, other.trap) : a === null ? 1 : -1;
  const order = typeof a === "string" ? collator.compare(a, String(b)) : a - Number(b);
  return (view.down ? -order : order) || collator.compare(one.trap, other.trap);
}

/** @param {Row} row @returns {boolean} */
function isWanted(row) {
  if (view.state && row.status !== view.state) return false;
  if (view.attention && !needsAttention(row)) return false;
  const text = `${row.trap} ${row.name} ${row.site} ${row.tenant}`.toLowerCase();
  return view.search.toLowerCase().split(/\s+/).every((part) => text.includes(part));
}

/** @param {string} name @param {string} label @param {...(Node | string | null)} children @returns {HTMLElement} */
const cell = (name, label, ...children) => h("td", { class: name, "data-label": label || null }, ...children);

/** @param {Row} row @returns {HTMLElement} */
function line(row) {
  const late = row.status === "online" && isLate(row);
  const made = h("tr", { "data-trap": keyOf(row) },
    cell("place", "", h("a", { href: `/traps/${row.tenant}/${row.trap}` }, row.name || row.trap),
      h("span", { class: "site" }, [row.name && row.name !== row.trap ? row.trap : null, row.site, row.tenant].filter(Boolean).join(" · "))),
    cell("status", "", stateMark(row.status), row.alerts ? h("a", { class: "tag bad", href: `/alerts?trap=${keyOf(row)}`, title: plural("fleet.alerts", row.alerts) }, `${row.alerts} !`) : null),
    cell("number count females female", t("fleet.column.females"), ...counted(row, "females")),
    cell("number count males male", t("fleet.column.males"), number(row.males)),
    cell("number share", t("fleet.column.share"), ratioMark(femaleShare(row.females, row.males))),
    cell("number coverage", t("fleet.column.coverage"), meter(row.coverage)),
    cell(`number complete nowrap${late ? " late" : ""}`, t("fleet.column.complete"), complete(row, late)),
    cell("number battery nowrap", row.battery_volts === null ? "" : t("fleet.column.battery"), row.battery_volts === null ? DASH : `${number(row.battery_volts, 1)}\u202fV`),
    cell("number picture nowrap", "", row.picture_ms === null ? DASH : h("a", { href: row.picture }, moment(row.picture_ms, row.timezone))));
  made.addEventListener("mouseenter", () => map?.point(keyOf(row)));
  return made;
}

/** @param {Row} row @param {"females"} name @returns {(Node | string)[]} a trap whose model knows no sexes shows its whole count */
function counted(row, name) {
  if (row.females !== null || row.counts === null) return [number(row[name])];
  const total = Object.values(row.counts).reduce((sum, count) => sum + count, 0);
  return [h("span", { class: "soft", title: t("fleet.unsexed") }, number(total))];
}

/** @param {Row} row @param {boolean} late @returns {Node | string} */
function complete(row, late) {
  if (row.complete_to_ms === null) return t("complete.unknown");
  const behind = (Date.now() - row.complete_to_ms) / 1000;
  const time = h("time", { datetime: new Date(row.complete_to_ms).toISOString() }, moment(row.complete_to_ms, row.timezone));
  return late ? h("span", { title: t("complete.late", { behind: duration(behind) }) }, "! ", time) : time;
}

/** Sorts, filters and counts again; lines that did not change are kept. */
function paint() {
  const found = [...rows.values()];
  const wanted = found.filter(isWanted).sort(compare);
  fill("rows", wanted.map((row) => lines.get(keyOf(row)) ?? null));
  find("loading").hidden = true;
  find("none").hidden = found.length > 0;
  find("no-match").hidden = found.length === 0 || wanted.length > 0;
  find("shown").textContent = found.length ? t("fleet.shown", { shown: number(wanted.length), all: number(found.length) }) : "";
  paintStates(found);
  paintSums(wanted);
  map?.show(wanted);
}

/** @param {Row[]} found */
function paintStates(found) {
  fill("states", STATES.filter((state) => view.state === state || found.some((row) => row.status === state)).map((state) =>
    h("button", { type: "button", class: "chip", "data-state": state, "aria-pressed": String(view.state === state), onclick: () => change({ state: view.state === state ? "" : state }) },
      shape(state), `${word("state", state)} `, h("b", {}, number(found.filter((row) => row.status === state).length)))));
}

/** @param {Row[]} wanted of the traps shown, so that a filter sums a district */
function paintSums(wanted) {
  const sum = (/** @type {"females" | "males"} */ name) => {
    const known = wanted.filter((row) => row.semantics !== "occupancy" && row[name] !== null);
    return known.length ? known.reduce((total, row) => total + (row[name] ?? 0), 0) : null;
  };
  const [females, males] = [sum("females"), sum("males")];
  const ratio = femaleShare(females, males);
  const covered = wanted.map((row) => row.coverage).filter((one) => one !== null).sort((a, b) => a - b);
  const behind = wanted.filter((row) => row.complete_to_ms !== null && row.status !== "stopped").sort((a, b) => Number(a.complete_to_ms) - Number(b.complete_to_ms));
  const lag = behind[Math.floor(behind.length / 20)]; // all but the slowest twentieth
  const online = wanted.filter((row) => row.status === "online").length;
  fill("sum-females", number(females), h("small", {}, t("fleet.caught")));
  fill("sum-males", number(males), h("small", {}, t("fleet.caught")));
  fill("sum-share", ratio ? percent(ratio.share) : DASH, h("small", {}, ratio ? t("ratio.interval", { low: percent(ratio.low), high: percent(ratio.high) }) : t("ratio.none")));
  fill("sum-online", number(online), h("small", {}, t("fleet.of", { n: number(wanted.length) })));
  fill("sum-coverage", covered.length ? percent(covered[Math.floor(covered.length / 2)]) : DASH, h("small", {}, t("fleet.median")));
  fill("sum-complete", lag ? clock(Number(lag.complete_to_ms)) : DASH, h("small", {}, lag ? t("fleet.complete_note", { day: day(Number(lag.complete_to_ms)) }) : ""));
}

/** @param {Partial<typeof view>} wish Changes the view, and the address so that it can be shared. */
function change(wish) {
  Object.assign(view, wish);
  const query = new URLSearchParams();
  if (view.search) query.set("search", view.search);
  if (view.state) query.set("state", view.state);
  if (view.attention) query.set("attention", "1");
  if (view.sort !== "name" || view.down) query.set("sort", view.sort);
  if (view.down) query.set("down", "1");
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  for (const button of document.querySelectorAll("[data-sort]")) {
    const header = button.closest("th");
    if (/** @type {HTMLElement} */ (button).dataset.sort === view.sort) header?.setAttribute("aria-sort", view.down ? "descending" : "ascending");
    else header?.removeAttribute("aria-sort");
  }
  paint();
}

/** @param {Row[]} news */
function take(news) {
  for (const row of news) {
    const key = keyOf(row);
    const before = rows.get(key);
    rows.set(key, row);
    const made = line(row);
    if (before && (before.females !== row.females || before.males !== row.males)) made.classList.add("fresh");
    lines.get(key)?.replaceWith(made);
    lines.set(key, made);
  }
}

/** @param {Row[]} news A burst is sorted and counted once a frame. */
function hear(news) {
  take(news);
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(() => {
    dirty = false;
    paint();
  });
}

async function load() {
  const answer = await api("/api/v1/fleet");
  rows.clear();
  lines.clear();
  take(answer.rows);
  const nights = new Set(answer.rows.map((/** @type {Row} */ row) => row.night));
  find("tonight").textContent = nights.size === 1 ? t("fleet.night_of", { night: night([...nights][0]) }) : nights.size ? t("fleet.nights_of") : "";
  paint();
}

function start() {
  const search = /** @type {HTMLInputElement} */ (find("search"));
  search.value = view.search;
  search.addEventListener("input", () => change({ search: search.value }));
  const attention = /** @type {HTMLInputElement} */ (find("attention"));
  attention.checked = view.attention;
  attention.addEventListener("change", () => change({ attention: attention.checked }));
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-sort]"))) {
    const name = button.dataset.sort ?? "name";
    button.addEventListener("click", () => change({ sort: name, down: view.sort === name ? !view.down : name !== "name" && name !== "status" }));
  }
  find("rows").addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const place = /** @type {Element} */ (event.target);
    if (!place.closest("a")) /** @type {HTMLElement | null | undefined} */ (place.closest("tr")?.querySelector("a"))?.click();
  });
  attempt(async () => {
    await load();
    change({});
    listen({}, { row: (data) => hear([data]) }, () => attempt(load));
    map = await FleetMap.open(find("map"), find("map-note"), (key) => lines.get(key)?.scrollIntoView({ block: "nearest" }), lines);
    map.show([...rows.values()].filter(isWanted));
  });
  setInterval(() => hear([...rows.values()]), REFRESH_MS);
}

start();
