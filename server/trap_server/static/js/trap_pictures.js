// @ts-check
/** A trap's pictures: crops that it kept, its newest whole frame, and the command that asks for another. */

import { api, attempt, clockSeconds, context, DAY_MS, dayAndTime, fill, find, h, may, moment, number, Refused, t, word } from "./page.js";

/** @typedef {{id: string, name: string, state: string, text: string, created_ms: number, expires_ms: number, sent_ms: number | null}} Order */

const { tenant, trap } = /** @type {any} */ (context);
const path = `/api/v1/traps/${tenant}/${trap}`;
const LOOK_MS = 1_500;
const PATIENCE = 20; // looks become rarer: after ten minutes they are half a minute apart
const UNANSWERED = ["waiting", "sent", "running"];

let zone = "";
let looking = 0;

/** @param {string} timezone of the trap. Shows what there is, and follows a command that is on its way. */
export async function showPictures(timezone) {
  zone = timezone;
  await Promise.all([showCrops(), look()]);
}

/** Lets operators ask for a picture. */
export function offerSnapshot() {
  const button = find("snapshot");
  button.hidden = !may("operator");
  button.addEventListener("click", () => attempt(async () => {
    button.disabled = true;
    await api(`${path}/commands`, { method: "POST", body: { name: "snapshot" } });
  }).then(() => attempt(look)));
}

async function showCrops() {
  const { evidence } = await api(`${path}/evidence?kind=crop&limit=12`);
  const place = find("evidence");
  const there = new Map([...place.querySelectorAll("figure")].map((figure) => [figure.dataset.picture, figure]));
  fill(place, evidence.length ? evidence.map((/** @type {any} */ one) => there.get(String(one.id)) ?? crop(one)) : h("p", { class: "soft" }, t("evidence.none")));
}

/** @param {any} one of the evidence @returns {HTMLElement} */
const crop = (one) => h("figure", { "data-picture": one.id },
  h("a", { href: one.jpeg }, h("img", { src: one.jpeg, loading: "lazy", alt: t("evidence.alt", { label: word("class", one.label ?? "") }) })),
  h("figcaption", {}, word("class", one.label ?? one.kind), one.scores?.[one.label] !== undefined ? ` ${number(one.scores[one.label], 2)}` : "", h("small", {}, moment(one.wall_ms, zone))));

/** The newest whole frame and the newest command for one; again soon, as long as something is on its way. */
async function look() {
  clearTimeout(looking);
  const [{ commands }, { evidence }] = await Promise.all([api(`${path}/commands?limit=20`), api(`${path}/evidence?kind=snapshot&limit=20`)]);
  /** @type {Order | undefined} */
  const order = commands.find((/** @type {Order} */ one) => one.name === "snapshot" && Date.now() - one.created_ms < DAY_MS);
  const hasCome = evidence.some((/** @type {any} */ one) => one.evidence === order?.id);
  const isAwaited = order !== undefined && !hasCome && [...UNANSWERED, "done"].includes(order.state);
  showFrame(evidence[0]);
  find("snapshot").disabled = isAwaited && order.state !== "done";
  find("snapshot-told").textContent = order ? told(order, hasCome) : "";
  if (isAwaited) looking = window.setTimeout(lookAgain, Math.max(LOOK_MS, (Date.now() - order.created_ms) / PATIENCE));
}

/** A server that is away for a while is no news here: the bar tells of it. */
async function lookAgain() {
  try {
    await look();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    looking = window.setTimeout(lookAgain, 2 * LOOK_MS);
  }
}

/** @param {any} frame of the evidence, if there is one */
function showFrame(frame) {
  const place = find("frame");
  place.hidden = !frame;
  if (!frame || place.dataset.shown === String(frame.id)) return;
  place.dataset.shown = frame.id;
  const time = dayAndTime(frame.wall_ms, zone);
  fill(place, h("a", { href: frame.jpeg }, h("img", { src: frame.jpeg, width: frame.width, height: frame.height, alt: t("snapshot.alt", { time }) })),
    h("figcaption", {}, t("snapshot.taken", { time }), h("span", {}, t("snapshot.size", { width: number(frame.frame_px[0]), height: number(frame.frame_px[1]) }))));
}

/** @param {Order} order @param {boolean} hasCome whether its picture has come @returns {string} what became of it */
function told(order, hasCome) {
  const key = hasCome ? "come" : order.state === "expired" && order.text ? "late" : order.state;
  const times = { asked: clockSeconds(order.created_ms, zone), sent: clockSeconds(order.sent_ms ?? order.created_ms, zone), until: clockSeconds(order.expires_ms, zone) };
  return t(`snapshot.${key}`, { ...times, text: order.text });
}
