// @ts-check
/** The share of females among those sexed, with its interval. */

import { DASH, h, percent, svg, t } from "./page.js";

const Z = 1.959964;

/**
 * @param {number | null | undefined} females @param {number | null | undefined} males
 * @returns {{share: number, low: number, high: number, n: number} | null} Wilson's 95 % score interval
 * (Wilson 1927); null where nothing was sexed, for then there is no share
 */
export function femaleShare(females, males) {
  const n = (females ?? 0) + (males ?? 0);
  if (!n) return null;
  const share = (females ?? 0) / n;
  const middle = (share + Z ** 2 / (2 * n)) / (1 + Z ** 2 / n);
  const half = (Z / (1 + Z ** 2 / n)) * Math.sqrt((share * (1 - share)) / n + Z ** 2 / (4 * n ** 2));
  return { share, low: Math.max(0, middle - half), high: Math.min(1, middle + half), n };
}

/** @param {ReturnType<typeof femaleShare>} ratio @returns {string} */
export function ratioText(ratio) {
  return ratio ? t("ratio.text", { share: percent(ratio.share), low: percent(ratio.low), high: percent(ratio.high) }) : DASH;
}

/** @param {ReturnType<typeof femaleShare>} ratio @returns {Node} point and interval on a line from 0 to 100 % */
export function ratioMark(ratio) {
  if (!ratio) return h("span", { class: "soft" }, DASH);
  const x = (/** @type {number} */ share) => 2 + 96 * share;
  return h("span", { class: "meter ratio", title: ratioText(ratio), "data-interval": `${percent(ratio.low)} ${DASH} ${percent(ratio.high)}` },
    svg("svg", { viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("line", { class: "axis", x1: 2, x2: 98, y1: 10, y2: 10 }),
      svg("line", { class: "middle", x1: 50, x2: 50, y1: 2, y2: 18 }),
      svg("line", { class: "interval", x1: x(ratio.low), x2: x(ratio.high), y1: 10, y2: 10 }),
      svg("rect", { class: "point", x: x(ratio.share) - 2, y: 4, width: 4, height: 12, rx: 1.5 })),
    h("span", {}, percent(ratio.share)));
}
