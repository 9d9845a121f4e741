// @ts-check
/** x */
import { api } from "./page.js";
/** @param {HTMLElement} panel */
export async function show(panel) {
  await api("/api/v1/x");
  panel.replaceChildren();
}
