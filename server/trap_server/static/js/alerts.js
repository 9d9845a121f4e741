// @ts-check
/** What is wrong with which trap, and who has seen it. */

import { api, attempt, DASH, duration, fill, find, h, may, moment, number, plural, t, word } from "./page.js";
import { listen } from "./live.js";
import { table, trapLink } from "./tables.js";

const REFRESH_MS = 30_000;
const MOST = 2_000;
const only = new URLSearchParams(location.search).get("trap");
/** @type {Record<string, string>} */
const about = only ? { tenant: only.split("/")[0], trap: only.split("/")[1] ?? "" } : {};

/** @param {number} open Says in the bar of the page how many nobody has seen. */
function tellBar(open) {
  find("nav-alerts").textContent = number(open);
  find("nav-alerts").hidden = !open;
}

/** @param {any} alert @returns {HTMLElement} */
const stateTag = (alert) => h("span", { class: `tag ${alert.state === "open" ? "bad" : alert.state === "acknowledged" ? "warn" : ""}` }, word("alert_state", alert.state));

/** @param {any} alert @returns {string} how long it lasts or lasted */
const lasted = (alert) => duration(((alert.closed_ms ?? Date.now()) - alert.opened_ms) / 1000);

/** @param {any} alert @returns {Node | string} */
function action(alert) {
  if (alert.state !== "open") return alert.acknowledged_by ? `${alert.acknowledged_by}, ${moment(alert.acknowledged_ms)}` : "";
  return h("button", { type: "button", class: "small-button", disabled: !may("operator"), onclick: () => attempt(async () => {
    await api(`/api/v1/alerts/${alert.id}/acknowledge`, { method: "POST" });
    await load();
  }) }, t("alerts.acknowledge"));
}

/** @param {Record<string, string>} wanted @returns {Promise<any[]>} every alert of a state, or the newest where there are many */
async function read(wanted) {
  const found = [];
  let cursor = null;
  do {
    const answer = await api(`/api/v1/alerts?${new URLSearchParams({ ...wanted, ...about, limit: "1000", ...(cursor ? { cursor } : {}) })}`);
    found.push(...answer.alerts);
    cursor = answer.next_cursor;
  } while (cursor && found.length < MOST);
  return found;
}

async function load() {
  const states = ["open", "acknowledged", ...(find("closed").checked ? ["closed"] : [])];
  const [open, ...others] = await Promise.all(states.map((state) => read({ state })));
  const shown = [...open, ...others.flat().sort((one, other) => other.opened_ms - one.opened_ms)];
  find("count").textContent = plural("alerts.open", open.length) + (only ? ` · ${only}` : "");
  if (!only) tellBar(open.length);
  table("alerts", [
    { title: "fleet.column.status", value: stateTag },
    { title: "alerts.seen", value: action },
    { title: "alerts.kind", value: (row) => h("b", {}, word("alert", row.kind)) },
    { title: "table.trap", value: trapLink },
    { title: "alerts.since", value: (row) => h("span", { class: "nowrap" }, moment(row.opened_ms)) },
    { title: "alerts.lasted", number: true, value: (row) => h("span", { class: "nowrap" }, row.opened_ms ? lasted(row) : DASH) },
    { title: "alerts.text", text: true, value: (row) => row.text.replace(`${row.tenant}/${row.trap}: `, "") },
  ], shown, "alerts.none");
}

fill("alerts");
find("closed").addEventListener("change", () => attempt(load));
attempt(load);
listen({}, {}, () => attempt(load));
setInterval(() => attempt(load), REFRESH_MS);
