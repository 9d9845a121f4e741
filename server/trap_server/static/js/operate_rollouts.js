// @ts-check
/** How far each rollout has come: ring by ring, and which traps did not take it. */

import { api, attempt, dayAndTime, fill, h, number, percent, svg, t, word } from "./page.js";
import { table, trapLink } from "./tables.js";

/** @param {HTMLElement} panel */
export async function show(panel) {
  const found = await api("/api/v1/rollouts");
  fill(panel, h("p", { class: "soft" }, t("rollouts.explain")), found.length ? found.map(card) : h("p", { class: "card empty" }, t("rollouts.none")));
}

/** @param {any} rollout @returns {HTMLElement} */
function card(rollout) {
  const traps = h("div", { class: "scroll", id: `traps-${rollout.id}` });
  const look = { running: "good", done: "good", paused: "warn", aborted: "bad" }[/** @type {string} */ (rollout.state)] ?? "";
  return h("section", { class: "card", "aria-label": rollout.model },
    h("header", {}, h("h2", {}, rollout.model), h("span", { class: `tag ${look}` }, word("rollout_state", rollout.state)), h("span", { class: "soft small" }, `${t("rollouts.begun")} ${dayAndTime(rollout.created_ms)}`),
      h("div", { class: "actions" }, h("button", { type: "button", class: "small-button", onclick: () => attempt(() => showTraps(rollout, traps)) }, t("rollouts.traps")))),
    rollout.reason ? h("p", { class: "notice" }, rollout.reason) : null,
    h("table", {}, h("thead", {}, h("tr", {}, ["ring", "traps_told", "well", "unwell", "progress"].map((name) => h("th", { scope: "col", class: name === "ring" || name === "progress" ? "" : "number" }, t(`rollouts.${name}`))))),
      h("tbody", {}, rollout.rings.map((/** @type {any} */ ring, /** @type {number} */ index) => h("tr", {},
        h("th", { scope: "row" }, index === rollout.ring && rollout.state === "running" ? "▸ " : "", ring.ring),
        h("td", { class: "number" }, `${number(ring.told)} / ${number(ring.traps)}`), h("td", { class: "number" }, number(ring.well)),
        h("td", { class: "number" }, ring.unwell ? h("span", { class: "tag bad" }, number(ring.unwell)) : number(0)), h("td", {}, progress(ring)))))),
    h("p", { class: "soft small" }, h("code", {}, `sha256:${rollout.digest.slice(0, 16)}…`)), traps);
}

/** @param {any} ring @returns {HTMLElement} */
function progress(ring) {
  const [well, unwell] = [ring.well / (ring.traps || 1), ring.unwell / (ring.traps || 1)];
  const text = t("rollouts.share", { share: percent(well) });
  return h("span", { class: "meter" }, h("span", { class: "progress", role: "img", "aria-label": text }, svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none" },
    svg("rect", { class: "fill", width: 100 * well, height: 10 }), svg("rect", { class: "unwell", x: 100 * well, width: 100 * unwell, height: 10 }))), h("span", {}, percent(well)));
}

/** @param {any} rollout @param {HTMLElement} place */
async function showTraps(rollout, place) {
  const traps = await api(`/api/v1/rollouts/${rollout.id}/traps`);
  table(place, [
    { title: "table.trap", value: trapLink },
    { title: "rollouts.ring", value: (row) => rollout.plan.rings[row.ring] ?? String(row.ring) },
    { title: "fleet.column.status", value: (row) => h("span", { class: `tag ${row.state === "active" ? "good" : ["rolled_back", "failed", "refused"].includes(row.state) ? "bad" : ""}` }, word("progress_state", row.state ?? "waiting")) },
    { title: "rollouts.verdict", text: true, value: (row) => [word("verdict", row.verdict), row.verdict_text, row.text].filter(Boolean).join(" · ") },
    { title: "rollouts.changed", value: (row) => (row.changed_ms ? dayAndTime(row.changed_ms) : "–") },
  ], traps, "fleet.none");
}
