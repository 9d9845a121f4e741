// @ts-check
/** Small marks that say the same by shape, text and colour. */

import { h, percent, svg, t, word } from "./page.js";

/** @type {Record<string, string>} paths in a square of 12, one shape a state */
export const SHAPES = {
  online: "M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10Z",
  silent: "M6 .8 11.6 11H.4Z",
  offline: "M1.4 1.4h9.2v9.2H1.4Z",
  stopped: "M1.5 1h3v10h-3ZM7.5 1h3v10h-3Z",
  unknown: "M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10ZM6 3a3 3 0 1 1 0 6a3 3 0 1 1 0-6Z",
};

/** @param {string} state @returns {SVGElement} */
export function shape(state) {
  return svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, svg("path", { d: SHAPES[state] ?? SHAPES.unknown, fill: "currentColor" }));
}

/** @param {string} state @returns {HTMLElement} */
export function stateMark(state) {
  return h("span", { class: "state", "data-state": state }, shape(state), word("state", state));
}

/** @param {number | null | undefined} share 0 to 1 @param {number} [needed] below it the mark warns @returns {HTMLElement} */
export function meter(share, needed = 0.8) {
  if (share === null || share === undefined) return h("span", { class: "soft" }, "–");
  const isLow = share < needed;
  return h("span", { class: `meter${isLow ? " low" : ""}`, title: isLow ? t("coverage.low") : null },
    svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", width: 100, height: 10 }),
      svg("rect", { class: "fill", width: Math.min(100, share * 100), height: 10 })),
    h("span", {}, isLow ? `${percent(share)}\u202f!` : percent(share)));
}
