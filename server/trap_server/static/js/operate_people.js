// @ts-check
/** People and their roles; who is invited gets a link that works once. */

import { api, context, day, fill, h, t } from "./page.js";
import { ask, form, secret, tell } from "./forms.js";
import { table } from "./tables.js";

export const ROLES = ["viewer", "operator", "admin"];

/** @returns {[string, string][]} */
export const roleOptions = () => ROLES.map((role) => [role, t(`role.${role}`)]);

/** @param {HTMLElement} panel */
export async function show(panel) {
  const people = await api("/api/v1/people");
  const again = () => show(panel);
  const change = (/** @type {any} */ row, /** @type {any} */ body) => async () => {
    await api(`/api/v1/people/${row.name}`, { method: "PATCH", body });
    await again();
  };
  const button = (/** @type {string} */ key, /** @type {() => void} */ onclick, look = "") => h("button", { type: "button", class: `small-button ${look}`, onclick }, t(key));
  const invited = (/** @type {any} */ answer) => tell(t("people.invited", { name: answer.person.name }), secret(answer.link));
  fill(panel, form("people.add", [
    { name: "name", label: "people.name", required: true, pattern: "[A-Za-z0-9._@+\\-]{1,64}" },
    { name: "role", label: "people.role", options: roleOptions() },
  ], "people.invite", async (values) => {
    invited(await api("/api/v1/people", { method: "POST", body: values }));
    await again();
  }), h("section", { class: "card flush" }, h("header", {}, h("h2", {}, t("operate.people"))), h("div", { class: "scroll", id: "people", tabindex: "0", role: "region", "aria-label": t("operate.people") })));
  table("people", [
    { title: "people.name", value: (row) => h("b", {}, row.name) },
    { title: "people.role", value: (row) => h("select", { "aria-label": `${t("people.role")}: ${row.name}`, disabled: row.name === context.person?.name, onchange: (/** @type {any} */ event) => ask(t("people.role_sure", { name: row.name }), change(row, { role: event.target.value }), () => (event.target.value = row.role)) }, ROLES.map((role) => h("option", { value: role, selected: role === row.role }, t(`role.${role}`)))) },
    { title: "fleet.column.status", value: (row) => h("span", { class: `tag ${row.disabled ? "bad" : row.has_password ? "good" : "warn"}` }, t(row.disabled ? "people.disabled" : row.has_password ? "people.active" : "people.waiting")) },
    { title: "people.since", value: (row) => day(row.created_ms) },
    { title: "", value: (row) => h("div", { class: "row-actions" },
      button("people.link", () => ask(t("people.link_sure", { name: row.name }), async () => invited(await api(`/api/v1/people/${row.name}/link`, { method: "POST" })))),
      row.name === context.person?.name ? [] : [
        button(row.disabled ? "people.enable" : "people.disable", () => ask(t("people.sure", { name: row.name }), change(row, { disabled: !row.disabled }))),
        button("people.remove", () => ask(t("people.remove_sure", { name: row.name }), async () => {
          await api(`/api/v1/people/${row.name}`, { method: "DELETE" });
          await again();
        }), "danger"),
      ]) },
  ], people, "people.none");
}
