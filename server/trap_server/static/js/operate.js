// @ts-check
/** Where traps stand, enrolment, rollouts, people, tokens and the log of changes: a tab each. */

import { attempt, fill, find, h, may, Refused, t } from "./page.js";
import { listen } from "./live.js";

/** @typedef {{show: (panel: HTMLElement) => Promise<void>}} Tab */

/** @type {Record<string, () => Promise<Tab>>} loaded when they are opened */
const TABS = {
  places: () => import("./operate_places.js"),
  enrol: () => import("./operate_enrol.js"),
  rollouts: () => import("./operate_rollouts.js"),
  people: () => import("./operate_people.js"),
  tokens: () => import("./operate_tokens.js"),
  audit: () => import("./operate_audit.js"),
};
const NEEDS = { places: "viewer", enrol: "operator", rollouts: "viewer", people: "admin", tokens: "admin", audit: "admin" };

/** @param {string} name */
async function open(name) {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#tabs [role=tab]"))) {
    const isOpen = button.dataset.tab === name;
    button.setAttribute("aria-selected", String(isOpen));
    button.tabIndex = isOpen ? 0 : -1;
    if (!isOpen) continue;
    find("panel").setAttribute("aria-labelledby", button.id);
    button.scrollIntoView({ inline: "center", block: "nearest" });
  }
  const query = new URLSearchParams(location.search);
  query.set("tab", name);
  history.replaceState(null, "", `?${query}`);
  const panel = find("panel");
  if (!may(/** @type {any} */ (NEEDS)[name])) {
    fill(panel, h("p", { class: "notice" }, t("operate.needs", { role: t(`role.${/** @type {any} */ (NEEDS)[name]}`) })));
    return;
  }
  fill(panel, h("p", { class: "loading" }, t("frame.loading")));
  try {
    await (await TABS[name]()).show(panel);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    fill(panel, h("p", { class: "notice" }, error.status === 404 ? t("operate.absent") : error.message));
  }
}

function start() {
  const buttons = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("#tabs [role=tab]")]);
  buttons.forEach((button, index) => {
    button.addEventListener("click", () => open(button.dataset.tab ?? "places"));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = buttons[(index + step + buttons.length) % buttons.length];
      next.focus();
      next.click();
    });
  });
  const asked = new URLSearchParams(location.search).get("tab") ?? "places";
  attempt(() => open(asked in TABS ? asked : "places"));
  listen({}, {});
}

start();
