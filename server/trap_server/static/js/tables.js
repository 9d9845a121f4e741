// @ts-check
/** Plain tables: a head, rows, or a line that says that there are none. */

import { fill, h, t } from "./page.js";

/** @typedef {{title: string, number?: boolean, text?: boolean, value: (row: any) => any}} Column `text` is long and may wrap */

/** @param {Element | string} place an element or its id @param {Column[]} columns @param {any[]} rows @param {string} none said when there are none */
export function table(place, columns, rows, none) {
  if (!rows.length) return fill(place, h("p", { class: "empty" }, t(none)));
  fill(place, h("table", {},
    h("thead", {}, h("tr", {}, columns.map((one) => h("th", { scope: "col", class: one.number ? "number" : "" }, one.title ? t(one.title) : h("span", { class: "visually-hidden" }, t("table.action")))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((one) => h("td", { class: one.number ? "number" : one.text ? "text" : "" }, one.value(row))))))));
}

/** @param {{tenant: string | null, trap: string | null}} row @returns {Node} */
export const trapLink = (row) => (row.trap ? h("a", { href: `/traps/${row.tenant}/${row.trap}` }, `${row.tenant}/${row.trap}`) : h("span", { class: "soft" }, "–"));
