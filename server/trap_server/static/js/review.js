// @ts-check
/** The queue: a crop at a time, labelled by one key; what was said can be taken back. */

import { api, attempt, fill, find, h, may, moment, number, percent, plural, svg, t, word } from "./page.js";
import { listen } from "./live.js";

/** @typedef {{id: number, tenant: string, trap: string, predicted: string, score: number, reason: string, wall_ms: number,
 *   box: [number, number, number, number], jpeg: string}} Crop */

const BATCH = 50;
const LEFT = 8; // fetch more when so few are left
const SHOWN = 12;
const KEYS = "123456789";

/** @type {Crop[]} */
let queue = [];
/** @type {string[]} */
let classes = [];
/** @type {{crop: Crop, label: string | null, id: number}[]} the last ones, newest first */
let done = [];
/** @type {Set<number>} crops seen in this sitting, and not to be fetched again */
const seen = new Set();
let waiting = 0;
let busy = false;
const trap = new URLSearchParams(location.search).get("trap");

async function refill() {
  const order = find("order").value;
  const answer = await api(`/api/v1/review/queue?${new URLSearchParams({ order, limit: String(BATCH + seen.size > 200 ? 200 : BATCH + seen.size), ...(trap ? { trap } : {}) })}`);
  const held = new Set(queue.map((crop) => crop.id));
  queue.push(...answer.crops.filter((/** @type {Crop} */ crop) => !seen.has(crop.id) && !held.has(crop.id)));
  ({ classes, waiting } = answer);
  for (const crop of queue.slice(1, 6)) new Image().src = crop.jpeg;
}

function paint() {
  const crop = queue[0];
  find("progress").textContent = plural("review.waiting", waiting);
  find("dataset").toggleAttribute("hidden", false);
  if (!crop) {
    fill("stage", h("div", { class: "empty" }, h("h2", {}, t("review.empty")), h("p", {}, t("review.empty_text"))));
    fill("says");
    fill("choices");
    return;
  }
  const [x, y, width, height] = crop.box;
  const image = /** @type {HTMLImageElement} */ (h("img", { src: crop.jpeg, alt: t("review.alt", { label: word("class", crop.predicted) }) }));
  const frame = h("div", { class: "frame" }, image, svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { x: (x - width / 2) * 100, y: (y - height / 2) * 100, width: width * 100, height: height * 100 })));
  image.addEventListener("load", () => frame.style.setProperty("--ratio", String(image.naturalWidth / image.naturalHeight)));
  fill("stage", frame);
  fill("says", h("span", {}, t("review.says"), " ", h("b", {}, word("class", crop.predicted)), ` ${percent(crop.score)}`),
    h("a", { href: `/traps/${crop.tenant}/${crop.trap}` }, `${crop.tenant}/${crop.trap}`), h("span", { class: "soft" }, moment(crop.wall_ms)),
    h("span", { class: "tag" }, word("reason", crop.reason)));
  const choice = (/** @type {string} */ key, /** @type {string} */ text, /** @type {() => void} */ chosen, isGuess = false) =>
    h("button", { type: "button", class: isGuess ? "guess" : "", "aria-keyshortcuts": key, disabled: !may("operator"), onclick: chosen }, h("kbd", {}, key.toUpperCase()), text);
  fill("choices", classes.slice(0, KEYS.length).map((name, index) => choice(KEYS[index], word("class", name), () => say(name), name === crop.predicted)),
    choice("n", t("review.nothing"), () => say(null)), choice("s", t("review.skip"), skip), done.length ? choice("u", t("review.undo"), undo) : null);
}

function paintDone() {
  find("none-done").hidden = done.length > 0;
  fill("done", done.slice(0, SHOWN).map(({ crop, label }) => h("li", {}, h("img", { src: crop.jpeg, alt: "" }),
    h("span", { class: label === crop.predicted ? "" : "changed" }, label === crop.predicted ? "" : "≠ ", label === null ? t("review.nothing") : word("class", label)))));
}

/** @param {string | null} label Says it of the crop in view. */
function say(label) {
  const crop = queue[0];
  if (!crop || busy || !may("operator")) return;
  busy = true;
  attempt(async () => {
    const { id } = await api("/api/v1/review/labels", { method: "POST", body: { crop: crop.id, label } });
    seen.add(crop.id);
    queue.shift();
    waiting -= 1;
    done.unshift({ crop, label, id });
    if (queue.length < LEFT) await refill();
  }).finally(after);
}

function after() {
  busy = false;
  paint();
  paintDone();
  attempt(showError);
}

function skip() {
  const crop = queue.shift();
  if (crop) seen.add(crop.id);
  paint();
}

function undo() {
  const last = done.shift();
  if (!last || busy) return;
  busy = true;
  attempt(async () => {
    await api(`/api/v1/review/labels/${last.id}`, { method: "DELETE" });
    seen.delete(last.crop.id);
    queue.unshift(last.crop);
    waiting += 1;
  }).finally(after);
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
    attempt(async () => {
      await refill();
      paint();
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /** @type {Element} */ (event.target).closest("input, select, textarea")) return;
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
