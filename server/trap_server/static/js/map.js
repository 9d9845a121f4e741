// @ts-check
/** The map: country outlines from this server, the operator's own tiles if there are any, and a mark for each trap. */

import { basemap } from "./basemap.js";
import { colour, context, h, number, onTheme, percent, plural, t, word } from "./page.js";
import { SHAPES, stateMark } from "./marks.js";

/** @typedef {import("./fleet.js").Row} Row */
/** @typedef {{step: number, arcs: number[][], land: number[][][]}} Outlines arcs as flat lists of steps, land as rings of arcs */

const STATE_COLOURS = { online: "--good", silent: "--warn", offline: "--bad", stopped: "--soft", unknown: "--soft" };
const SIZE = 7;

/** @returns {Promise<any>} Leaflet, which has no module of its own: null where it was not installed */
async function leaflet() {
  try {
    await import("/static/vendor/leaflet.js");
    return /** @type {any} */ (globalThis).L ?? null;
  } catch {
    return null;
  }
}

/** @param {Outlines} found @returns {[number, number][][]} lines of [latitude, longitude] */
function lines(found) {
  return found.arcs.map((arc) => {
    const points = /** @type {[number, number][]} */ ([]);
    for (let at = 0, x = 0, y = 0; at < arc.length; at += 2) {
      x += arc[at];
      y += arc[at + 1];
      points.push([y * found.step, x * found.step]);
    }
    return unrolled(points);
  });
}

/** @param {[number, number][]} points @returns {[number, number][]} without a leap around the world where they cross 180° */
function unrolled(points) {
  let turns = 0;
  return points.map(([latitude, longitude], index) => {
    const leap = index ? longitude - points[index - 1][1] : 0;
    if (Math.abs(leap) > 180) turns -= Math.sign(leap);
    return [latitude, longitude + 360 * turns];
  });
}

/** @param {Outlines} found @param {[number, number][][]} arcs @returns {[number, number][][][]} polygons of rings */
function land(found, arcs) {
  const ring = (/** @type {number[]} */ numbers) => unrolled(numbers.flatMap((number) => (number < 0 ? [...arcs[~number]].reverse() : arcs[number])));
  return found.land.map((polygon) => /** @type {any} */ (polygon).map(ring));
}

/** @param {any} L @returns {any} a mark on canvas: shape and colour say the state, the ring how much of the night was seen */
function traps(L) {
  return L.CircleMarker.extend({
    _updatePath() {
      const { row } = this.options;
      const { _ctx: ctx } = this._renderer;
      const { x, y } = this._point;
      ctx.save();
      ctx.translate(x, y);
      ctx.lineWidth = 2.5;
      ctx.strokeStyle = colours.gap;
      ctx.beginPath();
      ctx.arc(0, 0, SIZE + 2.5, 0, 2 * Math.PI);
      ctx.fillStyle = colours.card;
      ctx.fill();
      ctx.stroke();
      ctx.strokeStyle = colours[row.status];
      ctx.beginPath();
      ctx.arc(0, 0, SIZE + 2.5, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * Math.min(1, row.coverage ?? 0));
      ctx.stroke();
      ctx.translate(-SIZE * 0.75, -SIZE * 0.75);
      ctx.scale(SIZE / 8, SIZE / 8);
      ctx.fillStyle = colours[row.status];
      ctx.fill(new Path2D(SHAPES[/** @type {keyof SHAPES} */ (row.status)] ?? SHAPES.unknown), "evenodd");
      ctx.restore();
    },
  });
}

/** @type {Record<string, string>} */
let colours = {};
function readColours() {
  colours = { gap: colour("--gap-line"), card: colour("--card") };
  for (const [state, name] of Object.entries(STATE_COLOURS)) colours[state] = colour(name);
}

/** The map of the fleet page. */
export class FleetMap {
  /**
   * @param {HTMLElement} place @param {HTMLElement} note @param {(key: string) => void} chosen
   * @param {Map<string, HTMLElement>} rows @returns {Promise<FleetMap>}
   */
  static async open(place, note, chosen, rows) {
    const L = await leaflet();
    const made = new FleetMap(L, place, note, chosen, rows);
    if (L) made.ground();
    return made;
  }

  /** @param {any} L @param {HTMLElement} place @param {HTMLElement} note @param {(key: string) => void} chosen @param {Map<string, HTMLElement>} rows */
  constructor(L, place, note, chosen, rows) {
    this.L = L;
    this.note = note;
    this.chosen = chosen;
    this.rows = rows;
    /** @type {Map<string, any>} */
    this.marks = new Map();
    this.fitted = "";
    if (!L) {
      place.hidden = true;
      note.hidden = false;
      note.textContent = t("map.missing");
      return;
    }
    readColours();
    this.Mark = traps(L);
    this.map = L.map(place, { preferCanvas: true, zoomControl: true, attributionControl: Boolean(context.map.tiles), minZoom: 1, maxZoom: 19, zoomSnap: 0.5, worldCopyJump: true });
    this.map.attributionControl?.setPrefix(false);
    this.map.setView([5, 0], 1.5);
    L.control.scale({ imperial: false }).addTo(this.map);
    this.legend();
    onTheme(() => this.repaint());
  }

  /** Outlines below, then the operator's tiles, then the traps. */
  async ground() {
    const { L, map } = this;
    map.createPane("outlines").style.zIndex = "150";
    basemap(L, map);
    const answer = await fetch("/static/vendor/outlines.json");
    if (!answer.ok) return;
    const found = await answer.json();
    const arcs = lines(found);
    const renderer = L.canvas({ pane: "outlines", padding: 0.5 });
    const options = { renderer, pane: "outlines", interactive: false, smoothFactor: 0.5 };
    this.land = L.polygon(land(found, arcs), { ...options, stroke: false, fillOpacity: 1, fillColor: colour("--land") }).addTo(map);
    this.borders = L.polyline(arcs, { ...options, weight: 1, color: colour("--border") }).addTo(map);
  }

  legend() {
    const control = this.L.control({ position: "bottomright" });
    control.onAdd = () => h("div", { class: "legend" }, ...["online", "silent", "offline"].map((state) => stateMark(state)), h("span", {}, t("map.ring")));
    control.addTo(this.map);
  }

  /** @param {Row[]} wanted Shows these traps, and all of them at once when the selection has changed. */
  show(wanted) {
    if (!this.L) return;
    const placed = wanted.filter((row) => row.latitude !== null && row.longitude !== null);
    const keys = new Set(placed.map((row) => `${row.tenant}/${row.trap}`));
    for (const [key, mark] of this.marks) {
      if (keys.has(key)) continue;
      mark.remove();
      this.marks.delete(key);
    }
    for (const row of placed) this.mark(row);
    this.note.hidden = placed.length === wanted.length;
    this.note.textContent = plural("map.unplaced", wanted.length - placed.length);
    const selection = [...keys].sort().join();
    if (placed.length && selection !== this.fitted) {
      this.map.fitBounds(this.L.latLngBounds(placed.map((row) => [row.latitude, row.longitude])).pad(0.15), { maxZoom: 12, animate: false });
      this.fitted = selection;
    }
  }

  /** @param {Row} row */
  mark(row) {
    const key = `${row.tenant}/${row.trap}`;
    const known = this.marks.get(key);
    if (known) {
      known.options.row = row;
      known.setLatLng([row.latitude, row.longitude]);
      return;
    }
    const mark = new this.Mark([row.latitude, row.longitude], { radius: SIZE + 4, row });
    mark.bindTooltip(() => tip(mark.options.row), { direction: "top", offset: [0, -8] });
    mark.on("click", () => location.assign(`/traps/${row.tenant}/${row.trap}`));
    mark.on("mouseover", () => {
      this.rows.get(key)?.classList.add("pointed");
      this.chosen(key);
    });
    mark.on("mouseout", () => this.rows.get(key)?.classList.remove("pointed"));
    this.marks.set(key, mark.addTo(this.map));
  }

  /** @param {string} key Points at a trap of the table. */
  point(key) {
    const mark = this.marks?.get(key);
    this.pointed?.closeTooltip();
    this.pointed = mark;
    if (mark && this.map.getBounds().contains(mark.getLatLng())) mark.openTooltip();
  }

  repaint() {
    readColours();
    this.land?.setStyle({ fillColor: colour("--land") });
    this.borders?.setStyle({ color: colour("--border") });
    for (const mark of this.marks.values()) mark.redraw();
  }
}

/** @param {Row} row @returns {HTMLElement} */
function tip(row) {
  return h("div", {}, h("b", {}, row.name || row.trap), word("state", row.status), h("br"),
    t("map.tip", { females: number(row.females), males: number(row.males), coverage: percent(row.coverage) }));
}
