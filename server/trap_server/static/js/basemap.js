// @ts-check
/** The operator's own map: tiles by URL, or an archive of them; what reads archives is loaded only where there is one. */

import { context, h, language, onTheme, say, t } from "./page.js";

const VECTOR = 1; // tile type of PMTiles, version 3

/** @param {any} L Leaflet @param {any} map Lays the operator's map under the traps, if there is one. */
export async function basemap(L, map) {
  const { tiles } = context.map;
  if (!tiles) return;
  try {
    await (tiles.endsWith(".pmtiles") ? archive(map, tiles) : template(L, map, tiles));
  } catch {
    unreachable(tiles);
  }
}

/** @param {any} L @param {any} map @param {string} tiles Some tile servers answer only who tells where the map is shown. */
function template(L, map, tiles) {
  const layer = L.tileLayer(tiles, { attribution: thanks(), maxZoom: 19, referrerPolicy: "strict-origin-when-cross-origin" });
  layer.once("tileerror", () => unreachable(tiles));
  layer.addTo(map);
}

/** @param {any} map @param {string} address of a PMTiles archive of pictures or of vector tiles */
async function archive(map, address) {
  await library("pmtiles");
  const { PMTiles, leafletRasterLayer } = /** @type {any} */ (globalThis).pmtiles;
  const source = new PMTiles(address);
  const [header, metadata] = await Promise.all([source.getHeader(), source.getMetadata()]);
  const attribution = thanks(/** @type {any} */ (metadata).attribution);
  if (header.tileType !== VECTOR) {
    leafletRasterLayer(source, { attribution, maxZoom: 19, minNativeZoom: header.minZoom, maxNativeZoom: header.maxZoom }).addTo(map);
    return;
  }
  await library("protomaps-leaflet");
  const { leafletLayer } = /** @type {any} */ (globalThis).protomapsL;
  /** @type {any} */
  let layer = null;
  const draw = () => {
    layer?.remove();
    layer = leafletLayer({ url: source, flavor: isDark() ? "dark" : "light", lang: language.split("-")[0], maxDataZoom: header.maxZoom, attribution, className: "drawn" }).addTo(map);
  };
  draw();
  onTheme(draw);
}

/** @param {string} name of a library that is no module @returns {Promise<void>} */
function library(name) {
  return new Promise((loaded, failed) => document.head.append(h("script", { src: `/static/vendor/${name}.js`, onload: loaded, onerror: failed })));
}

/** @returns {boolean} */
function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
}

/** @param {string} [told] by the archive, as HTML @returns {string} the operator's words, else the archive's, for Leaflet, which reads HTML */
function thanks(told = "") {
  const text = context.map.attribution || (new DOMParser().parseFromString(told, "text/html").body.textContent ?? "");
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** @param {string} tiles */
function unreachable(tiles) {
  say(t("map.unreachable", { place: new URL(tiles, location.href).host }));
}
