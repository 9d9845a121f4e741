// @ts-check
/** What is wrong with which trap, and who has seen it. */

import { api, attempt, DASH, duration, fill, find, h, may, moment, plural, t, word } from "./page.js";
import { listen } from "./live.js";
import { table, trapLink } from "./tables.js";

const REFRESH_MS = 30_000;
const only = new URLSearchParams(location.search).get("trap");

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

async function load() {
  const answer = await api("/api/v1/alerts?limit=500");
  const all = (answer.alerts ?? answer).filter((/** @type {any} */ one) => !only || `${one.tenant}/${one.trap}` === only);
  const shown = all.filter((/** @type {any} */ one) => find("closed").checked || one.state !== "closed");
  find("count").textContent = plural("alerts.open", all.filter((/** @type {any} */ one) => one.state === "open").length) + (only ? ` · ${only}` : "");
  table("alerts", [
    { title: "fleet.column.status", value: stateTag },
    { title: "alerts.kind", value: (row) => h("b", {}, word("alert", row.kind)) },
    { title: "table.trap", value: trapLink },
    { title: "alerts.text", value: (row) => row.text.replace(`${row.tenant}/${row.trap}: `, "") },
    { title: "alerts.since", value: (row) => h("span", { class: "nowrap" }, moment(row.opened_ms)) },
    { title: "alerts.lasted", number: true, value: (row) => h("span", { class: "nowrap" }, row.opened_ms ? lasted(row) : DASH) },
    { title: "alerts.seen", value: action },
  ], shown, "alerts.none");
}

fill("alerts");
find("closed").addEventListener("change", () => attempt(load));
attempt(load);
listen({}, {}, () => attempt(load));
setInterval(() => attempt(load), REFRESH_MS);
