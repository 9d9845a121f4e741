// @ts-check
/** Who changed what, newest first. */

import { api, dayAndTime, fill, h, t } from "./page.js";
import { table } from "./tables.js";

/** @param {HTMLElement} panel */
export async function show(panel) {
  const { entries } = await api("/api/v1/audit?limit=500");
  fill(panel, h("section", { class: "card flush" }, h("header", {}, h("h2", {}, t("operate.audit"))), h("div", { class: "scroll", id: "audit", tabindex: "0", role: "region", "aria-label": t("operate.audit") })));
  table("audit", [
    { title: "audit.at", value: (row) => h("span", { class: "nowrap" }, dayAndTime(row.at_ms)) },
    { title: "audit.who", value: (row) => h("b", {}, row.who) },
    { title: "audit.action", value: (row) => row.action },
    { title: "audit.subject", value: (row) => row.subject },
    { title: "audit.details", value: (row) => h("code", { class: "wrap" }, Object.entries(row.details).map(([name, value]) => `${name}: ${value}`).join(", ")) },
  ], entries, "audit.none");
}
