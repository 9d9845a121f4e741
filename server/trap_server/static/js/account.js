// @ts-check
/** One's own account: another password, for who knows the one until now. */

import { api, attempt, find, Refused, say, t } from "./page.js";
import { listen } from "./live.js";

const FORBIDDEN = 403; // anybody may change their own password: only the old one can be wrong

/** @param {HTMLFormElement} form */
async function change(form) {
  const { old, new: fresh } = Object.fromEntries(new FormData(form));
  try {
    await api("/api/v1/me/password", { method: "POST", body: { old, new: fresh } });
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== FORBIDDEN) throw error;
    form.old.focus();
    throw new Refused(error.status, t("account.wrong"));
  }
  form.reset();
  say(t("account.changed"), "good");
}

function start() {
  const form = find("password");
  const compare = () => form.again.setCustomValidity(form.again.value === form.new.value ? "" : t("door.differ"));
  form.addEventListener("input", compare);
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    attempt(() => change(form));
  });
  listen({}, {});
}

start();
