// @ts-check
/** What every page shares: its texts and formats, elements, answers of the API, and the settings in the bar. */

/**
 * @typedef {{language: string, texts: Record<string, string>, person: {name: string, role: string} | null,
 *   newest: number, map: {tiles: string, attribution: string}}} Context
 * @typedef {Record<string, any>} Properties attributes; `on...` are listeners, `data-...` and `aria-...` as written
 * @typedef {Node | string | number | null | undefined | false} Child
 */

/** @type {Context} */
export const context = JSON.parse(document.getElementById("context")?.textContent ?? "{}");
/** The texts' language; formats follow the reader's own region where it speaks that language. */
export const language = navigator.languages.find((one) => one.split("-")[0] === context.language) ?? context.language;
export const DAY_MS = 86_400_000;
export const HOUR_MS = 3_600_000;
export const DASH = "–";

const plurals = new Intl.PluralRules(language);
/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/**
 * @param {string} key @param {Record<string, string | number>} [values] put in the place of {name}
 * @returns {string} in the language of the page
 */
export function t(key, values = {}) {
  const text = context.texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** @param {string} key of two texts, KEY.one and KEY.other @param {number} n @returns {string} */
export function plural(key, n) {
  const form = plurals.select(n) === "one" ? "one" : "other";
  return t(`${key}.${form}`, { n: number(n) });
}

/** @param {string} key @param {string} word one of a few that the API uses @returns {string} its text, else itself */
export function word(key, word) {
  return context.texts[`${key}.${word}`] ?? word;
}

/** @param {number | null | undefined} value @param {number} [digits] @returns {string} */
export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return DASH;
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** @param {number | null | undefined} share 0 to 1 @returns {string} never rounded up to 100 % nor down to 0 % */
export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return DASH;
  const rounded = Math.round(share * 100);
  const told = rounded === 100 && share < 1 ? 99 : rounded === 0 && share > 0 ? 1 : rounded;
  return (told / 100).toLocaleString(language, { style: "percent" });
}

/** @param {string} zone @param {Intl.DateTimeFormatOptions} options @returns {Intl.DateTimeFormat} */
function format(zone, options) {
  const key = zone + JSON.stringify(options);
  let made = formats.get(key);
  if (!made) formats.set(key, (made = new Intl.DateTimeFormat(language, { ...options, timeZone: zone || undefined })));
  return made;
}

/** @param {number} ms @param {string} [zone] IANA name; empty: the reader's own @returns {string} hh:mm */
export const clock = (ms, zone = "") => format(zone, { hour: "2-digit", minute: "2-digit" }).format(ms);
/** @param {number} ms @param {string} [zone] @returns {string} */
export const clockSeconds = (ms, zone = "") => format(zone, { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);
/** @param {number} ms @param {string} [zone] @returns {string} day and month */
export const day = (ms, zone = "") => format(zone, { day: "numeric", month: "short" }).format(ms);
/** @param {number} ms @param {string} [zone] @returns {string} */
export const dayAndTime = (ms, zone = "") =>
  format(zone, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }).format(ms);
/** @param {string} date YYYY-MM-DD, a local date @returns {string} */
export const night = (date) =>
  format("UTC", { weekday: "short", day: "numeric", month: "short", year: "numeric" }).format(Date.parse(`${date}T12:00Z`));
/** @param {number | null | undefined} ms @param {string} [zone] @returns {string} the time, with the day unless it is today */
export function moment(ms, zone = "") {
  if (ms === null || ms === undefined) return DASH;
  return day(ms, zone) === day(Date.now(), zone) ? clock(ms, zone) : `${day(ms, zone)}, ${clock(ms, zone)}`;
}

/** @param {number} seconds @returns {string} in the unit that fits */
export function duration(seconds) {
  const [unit, size] = /** @type {[string, number]} */ (
    seconds < 90 ? ["second", 1] : seconds < 5400 ? ["minute", 60] : seconds < 172_800 ? ["hour", 3600] : ["day", 86_400]
  );
  return (seconds / size).toLocaleString(language, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: unit === "hour" ? 1 : 0 });
}

/**
 * @param {string} tag @param {Properties} [properties] @param {...(Child | Child[])} children @returns {HTMLElement}
 * Text is always text: nothing that a trap or a person wrote is ever read as HTML.
 */
export function h(tag, properties = {}, ...children) {
  return /** @type {HTMLElement} */ (filled(document.createElement(tag), properties, children));
}

/** @param {string} tag @param {Properties} [properties] @param {...(Child | Child[])} children @returns {SVGElement} */
export function svg(tag, properties = {}, ...children) {
  return /** @type {SVGElement} */ (filled(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children));
}

/** @param {Element} made @param {Properties} properties @param {(Child | Child[])[]} children */
function filled(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "value") /** @type {any} */ (made).value = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  put(made, ...children);
  return made;
}

/** @param {Element} parent @param {...(Child | Child[])} children Appends those that are something. */
function put(parent, ...children) {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) parent.append(child instanceof Node ? child : String(child));
  }
}

/** @param {Element | string} place an element or its id @param {...(Child | Child[])} children Replaces what is inside. */
export function fill(place, ...children) {
  const parent = typeof place === "string" ? find(place) : place;
  parent.replaceChildren();
  put(parent, ...children);
}

/** @param {string} id @returns {any} the element; a page without it is a fault of ours */
export function find(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** @param {string} name of a token of the style sheet @returns {string} its colour in the present theme */
export function colour(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
const probe = document.body.appendChild(h("span", { hidden: true }));

/** The API refused, or could not be reached; the message is for people. */
export class Refused extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} path @param {Omit<RequestInit, "body"> & {body?: any}} [options] an object as `body` is sent as JSON
 * @returns {Promise<any>} the answer, null when it has no content. Throws Refused.
 */
export async function api(path, options = {}) {
  const answer = await request(path, options);
  return answer.status === 204 ? null : answer.json();
}

/** @param {string} path @param {Omit<RequestInit, "body"> & {body?: any}} [options] @returns {Promise<Response>} one that is good. Throws Refused. */
export async function request(path, options = {}) {
  const { body, ...rest } = options;
  const isJson = body !== undefined && !(body instanceof Blob);
  let answer;
  try {
    answer = await fetch(path, {
      ...rest,
      headers: { accept: "application/json", ...(isJson ? { "content-type": "application/json" } : {}), ...rest.headers },
      body: isJson ? JSON.stringify(body) : body,
    });
  } catch {
    throw new Refused(0, t("error.offline"));
  }
  if (answer.status === 401 && !path.endsWith("/login")) signIn();
  if (!answer.ok) throw new Refused(answer.status, await reason(answer));
  return answer;
}

/** @param {Response} answer @returns {Promise<string>} */
async function reason(answer) {
  if (answer.status === 403) return t("error.forbidden");
  if (answer.status === 429) return t("error.often");
  try {
    const { detail } = await answer.json();
    if (typeof detail === "string") return detail;
    return detail.map((/** @type {any} */ one) => `${one.loc.slice(1).join(".")}: ${one.msg}`).join("; ");
  } catch {
    return t("error.status", { status: answer.status });
  }
}

/** A session that has ended: sign in again, and come back here. */
export function signIn() {
  const here = location.pathname + location.search;
  location.assign(`/login?next=${encodeURIComponent(here)}`);
}

/** @param {string} text @param {"bad" | "good"} [kind] Says it in a corner, and to screen readers. */
export function say(text, kind = "bad") {
  const note = h("p", { class: `notice ${kind}` }, text);
  find("messages").append(note);
  setTimeout(() => note.remove(), 8_000);
}

/** @param {() => Promise<void>} action Runs it; what goes wrong is said. @returns {Promise<boolean>} */
export async function attempt(action) {
  try {
    await action();
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.message);
    return false;
  }
}

/** @param {string} role the least that is needed @returns {boolean} */
export function may(role) {
  const order = ["viewer", "operator", "admin"];
  return context.person === null || order.indexOf(context.person.role) >= order.indexOf(role);
}

/** @param {() => void} paint Called when the colours change. */
export function onTheme(paint) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  document.addEventListener("themechange", paint);
}

/** @param {string} name @param {string} value Keeps a setting for a year. */
function remember(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax`;
}

function settle() {
  document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  const theme = /** @type {HTMLSelectElement | null} */ (document.getElementById("theme"));
  theme?.addEventListener("change", () => {
    remember("theme", theme.value);
    document.documentElement.dataset.theme = theme.value;
    document.dispatchEvent(new Event("themechange"));
  });
  const chosen = /** @type {HTMLSelectElement | null} */ (document.getElementById("language"));
  chosen?.addEventListener("change", () => {
    remember("language", chosen.value);
    location.reload();
  });
}

/** On paper it is always day. */
function printInLight() {
  const root = document.documentElement;
  let before = /** @type {string | undefined} */ (undefined);
  const wear = (/** @type {string | undefined} */ theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    document.dispatchEvent(new Event("themechange"));
  };
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    wear("light");
  });
  addEventListener("afterprint", () => wear(before));
}

settle();
printInLight();
