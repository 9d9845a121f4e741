// @ts-check
/** The queue: a crop at a time, labelled by one key; what was said can be taken back. */

import { api, attempt, fill, find, h, may, moment, number, percent, plural, svg, t, word } from "./page.js";
import { listen } from "./live.js";

/** @typedef {{id: number, tenant: string, trap: string, predicted: string, score: number, reason: string, wall_ms: number,
 *   box: [number, number, number, number], jpeg: string}} Crop
 * @typedef {{crop: Crop, label: string | null, id: number}} Said an `id` of 0: not stored yet */

const BATCH = 50;
const LEFT = 8; // fetch more when so few are left
const SHOWN = 12;
const MOST = 200; // that the server gives at once
const KEYS = "123456789";

/** @type {Crop[]} */
let queue = [];
/** @type {string[]} */
let classes = [];
/** @type {Said[]} the last ones, newest first */
let done = [];
/** @type {Set<number>} crops seen in this sitting, and not to be fetched again */
const seen = new Set();
/** @type {Map<number, HTMLImageElement>} pictures on their way or here, by crop */
const pictures = new Map();
let waiting = 0;
let ahead = 0; // by how much `waiting` differs from what the server knows yet
let unsent = 0;
let painted = "";
let line = Promise.resolve(); // what is said goes to the server in the order in which it was said
const trap = new URLSearchParams(location.search).get("trap");

async function refill() {
  const order = find("order").value;
  const limit = String(Math.min(MOST, BATCH + seen.size));
  const answer = await api(`/api/v1/review/queue?${new URLSearchParams({ order, limit, ...(trap ? { trap } : {}) })}`);
  const held = new Set(queue.map((crop) => crop.id));
  queue.push(...answer.crops.filter((/** @type {Crop} */ crop) => !seen.has(crop.id) && !held.has(crop.id)));
  classes = answer.classes;
  waiting = answer.waiting + ahead;
}

/** @param {Crop} crop @returns {HTMLImageElement} its picture, fetched once */
function picture(crop) {
  const known = pictures.get(crop.id);
  if (known) return known;
  const made = /** @type {HTMLImageElement} */ (h("img", { src: crop.jpeg, alt: t("review.alt", { label: word("class", crop.predicted) }) }));
  made.addEventListener("load", () => queue[0] === crop && paint());
  pictures.set(crop.id, made);
  return made;
}

/** @param {Crop} crop @returns {boolean} whether there is something to see: nobody labels what they have not seen */
const isThere = (crop) => picture(crop).naturalWidth > 0;

function paint() {
  const crop = queue[0];
  find("progress").textContent = plural("review.waiting", waiting);
  find("dataset").toggleAttribute("hidden", false);
  const now = [crop?.id, crop && isThere(crop), done.length > 0, ...classes].join();
  if (now === painted) return; // what is under somebody's finger stays there
  painted = now;
  if (crop) paintCrop(crop);
  else {
    fill("stage", h("div", { class: "empty" }, h("h2", {}, t("review.empty")), h("p", {}, t("review.empty_text"))));
    fill("says");
  }
  paintChoices(crop);
  queue.slice(1, 6).forEach(picture);
}

/** @param {Crop} crop with what the model takes it for */
function paintCrop(crop) {
  const [x, y, width, height] = crop.box;
  const image = picture(crop);
  const frame = h("div", { class: "frame" }, image, svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { x: (x - width / 2) * 100, y: (y - height / 2) * 100, width: width * 100, height: height * 100 })));
  if (isThere(crop)) frame.style.setProperty("--ratio", String(image.naturalWidth / image.naturalHeight));
  fill("stage", frame);
  fill("says", h("span", {}, t("review.says"), " ", h("b", {}, word("class", crop.predicted)), ` ${percent(crop.score)}`),
    h("a", { href: `/traps/${crop.tenant}/${crop.trap}` }, `${crop.tenant}/${crop.trap}`), h("span", { class: "soft" }, moment(crop.wall_ms)),
    h("span", { class: "tag" }, word("reason", crop.reason)));
}

/** @param {Crop | undefined} crop Without one there is still what can be taken back. */
function paintChoices(crop) {
  const focused = document.activeElement?.getAttribute("aria-keyshortcuts");
  const choice = (/** @type {string} */ key, /** @type {string} */ text, /** @type {() => void} */ chosen, isGuess = false) =>
    h("button", { type: "button", class: isGuess ? "guess" : "", "aria-keyshortcuts": key, disabled: !may("operator"), onclick: chosen }, h("kbd", {}, key.toUpperCase()), text);
  fill("choices", crop ? [
    ...classes.slice(0, KEYS.length).map((name, index) => choice(KEYS[index], word("class", name), () => say(name), name === crop.predicted)),
    choice("n", t("review.nothing"), () => say(null)), choice("s", t("review.skip"), skip)] : [], done.length ? choice("u", t("review.undo"), undo) : null);
  if (focused) /** @type {HTMLElement | null} */ (document.querySelector(`#choices [aria-keyshortcuts="${focused}"]`))?.focus();
}

function paintDone() {
  find("none-done").hidden = done.length > 0;
  fill("done", done.slice(0, SHOWN).map(({ crop, label }) => h("li", {}, h("img", { src: crop.jpeg, alt: "" }),
    h("span", { class: label === crop.predicted ? "" : "changed" }, label === crop.predicted ? "" : "≠ ", label === null ? t("review.nothing") : word("class", label)))));
}

/** @param {string | null} label Says it of the crop in view, and goes on; the server hears of it in its turn. */
function say(label) {
  const crop = queue[0];
  if (!crop || !isThere(crop) || !may("operator")) return;
  const said = { crop, label, id: 0 };
  leave(said);
  send(-1, async () => {
    said.id = (await api("/api/v1/review/labels", { method: "POST", body: { crop: crop.id, label } })).id;
  }, () => done.includes(said) && comeBack(said));
}

function undo() {
  const last = done[0];
  if (!last) return;
  comeBack(last);
  send(1, async () => {
    if (last.id) await api(`/api/v1/review/labels/${last.id}`, { method: "DELETE" });
  }, () => queue.includes(last.crop) && leave(last));
}

/** @param {Said} said Its crop is done with. */
function leave(said) {
  queue = queue.filter((crop) => crop !== said.crop);
  seen.add(said.crop.id);
  done.unshift(said);
  pictures.delete(said.crop.id);
}

/** @param {Said} said Its crop is the next again. */
function comeBack(said) {
  done.splice(done.indexOf(said), 1);
  seen.delete(said.crop.id);
  queue.unshift(said.crop);
}

/**
 * @param {number} step by how much fewer or more crops wait, once the server has done it
 * @param {() => Promise<void>} action @param {() => void} otherwise Puts the page right when the server refused.
 */
function send(step, action, otherwise) {
  waiting += step;
  ahead += step;
  unsent += 1;
  paintAll();
  inTurn(async () => {
    const went = await attempt(action);
    ahead -= step;
    unsent -= 1;
    if (!went) {
      waiting -= step;
      otherwise();
    } else if (queue.length < LEFT) await attempt(refill);
    paintAll();
    if (!unsent) await attempt(showError);
  });
}

/** @param {() => Promise<void>} action Runs it behind what is on its way. */
function inTurn(action) {
  line = line.then(action, action);
}

function paintAll() {
  paint();
  paintDone();
}

function skip() {
  const crop = queue.shift();
  if (crop) seen.add(crop.id);
  paint();
}

async function showError() {
  const models = await api("/api/v1/review/error");
  fill("error", models.length ? models.map(matrix) : h("p", { class: "soft" }, t("review.error_none")));
}

/** @param {any} model @returns {HTMLElement} rows: what the model said; columns: what it was */
function matrix(model) {
  const labels = [...model.classes, ""];
  const name = (/** @type {string} */ one) => (one ? word("class", one) : t("review.nothing"));
  return h("table", { class: "matrix" },
    h("caption", {}, t("review.matrix", { model: model.model_sha256.slice(0, 12) }), " ", model.enough ? h("span", { class: "tag good" }, t("review.enough")) : h("span", { class: "tag warn" }, t("review.too_few"))),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("review.said")), labels.map((one) => h("th", { scope: "col" }, name(one))), h("th", { scope: "col" }, t("review.n")))),
    h("tbody", {}, Object.entries(model.matrix).map(([said, row]) => {
      const n = Object.values(row).reduce((sum, count) => sum + Number(count), 0);
      return h("tr", {}, h("th", { scope: "row" }, name(said)), labels.map((one) => {
        const count = row[one] ?? 0;
        return h("td", { class: !count ? "" : one === said ? "same" : "other" }, number(count), count ? h("small", {}, percent(count / n)) : null);
      }), h("td", {}, number(n)));
    })));
}

function start() {
  find("order").addEventListener("change", () => {
    queue = [];
    inTurn(async () => {
      await attempt(refill);
      paint();
    });
  });
  addEventListener("beforeunload", (event) => {
    if (unsent) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || /** @type {Element} */ (event.target).closest("input, select, textarea")) return;
    const key = event.key.toLowerCase();
    const at = KEYS.indexOf(key);
    if (key === "n") say(null);
    else if (key === "s") skip();
    else if (key === "u") undo();
    else if (at >= 0 && at < classes.length) say(classes[at]);
    else return;
    event.preventDefault();
  });
  attempt(async () => {
    await refill();
    paint();
    await showError();
  });
  listen({}, {});
}

start();
