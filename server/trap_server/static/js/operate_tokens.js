// @ts-check
/** Tokens of machines: shown once when they are made, refused from the moment they are revoked. */

import { api, dayAndTime, DAY_MS, DASH, fill, h, t } from "./page.js";
import { ask, form, secret, tell } from "./forms.js";
import { roleOptions } from "./operate_people.js";
import { table } from "./tables.js";

/** @param {HTMLElement} panel */
export async function show(panel) {
  const tokens = await api("/api/v1/tokens");
  fill(panel, form("tokens.add", [
    { name: "name", label: "tokens.name", required: true },
    { name: "role", label: "people.role", options: roleOptions() },
    { name: "days", label: "tokens.days", type: "number", min: 1, max: 3650, value: "365" },
  ], "tokens.make", async (values) => {
    const expires_ms = values.days ? Date.now() + Number(values.days) * DAY_MS : null;
    const answer = await api("/api/v1/tokens", { method: "POST", body: { name: values.name, role: values.role, expires_ms } });
    tell(t("tokens.made", { name: answer.token.name }), secret(answer.secret));
    await show(panel);
  }), h("section", { class: "card flush" }, h("header", {}, h("h2", {}, t("operate.tokens"))), h("div", { class: "scroll", id: "tokens", tabindex: "0", role: "region", "aria-label": t("operate.tokens") })));
  const state = (/** @type {any} */ row) => (row.revoked_ms ? "revoked" : row.expires_ms && row.expires_ms < Date.now() ? "expired" : "valid");
  table("tokens", [
    { title: "tokens.name", value: (row) => h("b", {}, row.name) },
    { title: "people.role", value: (row) => t(`role.${row.role}`) },
    { title: "fleet.column.status", value: (row) => h("span", { class: `tag ${state(row) === "valid" ? "good" : "bad"}` }, t(`tokens.${state(row)}`)) },
    { title: "tokens.by", value: (row) => `${row.created_by}, ${dayAndTime(row.created_ms)}` },
    { title: "tokens.until", value: (row) => (row.expires_ms ? dayAndTime(row.expires_ms) : DASH) },
    { title: "", value: (row) => (state(row) === "valid" ? h("div", { class: "row-actions" }, h("button", { type: "button", class: "small-button danger", onclick: () => ask(t("tokens.sure", { name: row.name }), async () => {
      await api(`/api/v1/tokens/${row.id}`, { method: "DELETE" });
      await show(panel);
    }) }, t("tokens.revoke"))) : "") },
  ], tokens, "tokens.none");
}
