// @ts-check
/** A new trap: its name, and what goes onto its card, told once. */

import { api, dayAndTime, fill, h, t } from "./page.js";
import { form, secret, tell } from "./forms.js";

/** @param {HTMLElement} panel */
export async function show(panel) {
  const traps = await api("/api/v1/fleet");
  const tenant = traps.rows[0]?.tenant ?? "default";
  const name = { required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,35}" };
  fill(panel, form("enrol.title", [
    { name: "tenant", label: "enrol.tenant", value: tenant, ...name },
    { name: "trap", label: "enrol.trap", hint: "enrol.name_rule", ...name },
    { name: "hours", label: "enrol.hours", type: "number", min: 1, max: 8760, value: "72" },
  ], "enrol.make", async (values) => {
    const made = await api("/api/v1/enrolments", { method: "POST", body: { tenant: values.tenant, trap: values.trap, hours: Number(values.hours) } });
    tell(t("enrol.made", { trap: `${made.tenant}/${made.trap}` }), h("p", {}, t("enrol.card")),
      h("div", { class: "row-actions" }, Object.entries(made.files).map(([file, text]) => download(file, String(text)))),
      qr(made.qr_svg), secret(made.files["join.token"].trim()), h("p", { class: "soft" }, t("enrol.until", { time: dayAndTime(made.expires_ms) })));
  }), h("p", { class: "soft" }, t("enrol.explain")));
}

/** @param {string} name @param {string} text @returns {HTMLElement} */
function download(name, text) {
  return h("a", { class: "button small-button", download: name, href: URL.createObjectURL(new Blob([text], { type: "text/plain" })) }, name);
}

/** @param {string} text of an SVG that this server made @returns {HTMLElement} */
function qr(text) {
  const picture = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", t("enrol.qr"));
  return h("div", { class: "qr" }, document.importNode(picture, true));
}
