// @ts-check
/** Forms of the operating pages, and what is told only once. */

import { attempt, fill, find, h, t } from "./page.js";

/** @typedef {{name: string, label: string, type?: string, options?: [string, string][], required?: boolean, value?: string,
 *   step?: string, min?: number, max?: number, pattern?: string, hint?: string}} Field */

/**
 * @param {string} title key of the heading @param {Field[]} fields @param {string} button key of its text
 * @param {(values: Record<string, string>, form: HTMLFormElement) => Promise<void>} send @returns {HTMLElement} a card with the form
 */
export function form(title, fields, button, send) {
  const made = /** @type {HTMLFormElement} */ (h("form", { class: "form" }, fields.map(field), h("button", { class: "primary" }, t(button))));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = Object.fromEntries([...new FormData(made)].map(([name, value]) => [name, String(value).trim()]));
    attempt(() => send(values, made));
  });
  return h("section", { class: "card" }, h("header", {}, h("h2", {}, t(title))), made);
}

/** @param {Field} one @returns {HTMLElement} */
function field({ name, label, type = "text", options, hint, ...rest }) {
  const input = options
    ? h("select", { name }, options.map(([value, text]) => h("option", { value, selected: value === rest.value }, text)))
    : h("input", { name, type, autocomplete: "off", ...rest });
  return h("label", { class: "field" }, h("span", {}, t(label), hint ? h("small", {}, ` (${t(hint)})`) : null), input);
}

/** @param {string} title @param {...(Node | string)} content Shows what is told once, until it is closed. */
export function tell(title, ...content) {
  find("dialog-title").textContent = title;
  fill("dialog-body", ...content);
  find("dialog").showModal();
}

/** @param {string} text @returns {HTMLElement} a secret to copy, never to be shown again */
export const secret = (text) => h("div", {}, h("p", {}, t("operate.once")), h("code", { class: "secret", tabindex: "0" }, text));

/** @param {string} question @param {() => Promise<void>} action @param {() => void} [otherwise] Asks before what can't be taken back. */
export function ask(question, action, otherwise = () => {}) {
  if (confirm(question)) attempt(action);
  else otherwise();
}
