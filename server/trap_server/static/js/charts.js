// @ts-check
/** Curves by uPlot: series that stop where nothing was counted, time without a count hatched, the theme's colours. */

import { clock, colour, day, number, onTheme } from "./page.js";

/**
 * @typedef {{from: number, to: number}} Span milliseconds
 * @typedef {{label: string, colour: string, values: (number | null)[], dash?: number[], width?: number, axis?: "y" | "right",
 *   steps?: boolean, points?: boolean, fill?: string}} Series
 * @typedef {{times: number[], series: Series[], bands?: {low: (number | null)[], high: (number | null)[], colour: string}[],
 *   gaps?: Span[], since: number, until: number, zone: string, height: number, unit?: string, rightUnit?: string,
 *   max?: number, dates?: boolean, percent?: boolean, bare?: boolean}} Drawing
 */

/** @returns {Promise<any>} uPlot, or null where it was not installed */
async function loadPlot() {
  try {
    return (await import("/static/vendor/uPlot.esm.js")).default;
  } catch {
    return null;
  }
}
const library = loadPlot();

/** Whether curves can be drawn here. */
export const canDraw = async () => (await library) !== null;

/** One curve in one place; draw it again with new data as often as need be. */
export class Chart {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    /** @type {any} */
    this.plot = null;
    /** @type {Drawing | null} */
    this.drawing = null;
    new ResizeObserver(() => this.plot?.setSize({ width: place.clientWidth, height: place.clientHeight })).observe(place);
    onTheme(() => this.drawing && this.draw(this.drawing));
  }

  /** @param {Drawing} drawing */
  async draw(drawing) {
    this.drawing = drawing;
    const Plot = await library;
    if (!Plot || this.drawing !== drawing) return;
    const tip = this.plot?.cursor.idx;
    this.plot?.destroy();
    this.place.dataset.gaps = String(drawing.gaps?.length ?? 0);
    this.plot = new Plot(this.options(Plot, drawing), columns(drawing), this.place);
    if (tip !== undefined && tip !== null) this.tell(tip);
  }

  /** @param {any} Plot @param {Drawing} drawing @returns {object} */
  options(Plot, drawing) {
    const axis = { stroke: colour("--soft"), font: "12px 'Source Sans 3', system-ui, sans-serif", ticks: { show: false } };
    const hasRight = drawing.series.some((one) => one.axis === "right");
    const label = drawing.dates ? (/** @type {number} */ ms) => day(ms, drawing.zone) : (/** @type {number} */ ms) => clock(ms, drawing.zone);
    return {
      width: this.place.clientWidth,
      height: this.place.clientHeight,
      legend: { show: false },
      padding: [8, hasRight ? 0 : drawing.dates ? 22 : 10, drawing.bare ? 8 : 0, 0],
      tzDate: (/** @type {number} */ s) => (drawing.zone ? Plot.tzDate(new Date(s * 1e3), drawing.zone) : new Date(s * 1e3)),
      cursor: { drag: { x: false, y: false }, y: false, points: { size: 6 } },
      scales: {
        x: { time: true, range: () => [drawing.since / 1000, drawing.until / 1000] },
        y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number | null} */ max) => [0, drawing.max ?? Math.max(4, (max ?? 0) * 1.12)] },
        right: { range: (/** @type {any} */ _, /** @type {number | null} */ min, /** @type {number | null} */ max) => [Math.floor(((min ?? 0) - 2) / 5) * 5, Math.ceil(((max ?? 1) + 2) / 5) * 5] },
      },
      axes: [
        { ...axis, show: !drawing.bare, size: 26, space: drawing.dates ? 64 : 56, grid: { show: false }, values: (/** @type {any} */ _, /** @type {number[]} */ at) => labels(at, label) },
        { ...axis, size: 40, grid: { stroke: colour("--rule"), width: 1 }, values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((value) => (drawing.percent ? `${number(value)}\u202f%` : Number.isInteger(value) ? number(value) : "")) },
        ...(hasRight ? [{ ...axis, scale: "right", side: 1, size: 44, grid: { show: false }, values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((value) => number(value)) }] : []),
      ],
      series: [{}, ...drawing.series.map((one) => line(Plot, one)), ...(drawing.bands ?? []).flatMap(() => [edge(), edge()])],
      bands: (drawing.bands ?? []).map((band, index) => {
        const low = 1 + drawing.series.length + 2 * index;
        return { series: [low + 1, low], fill: wash(band.colour) };
      }),
      hooks: {
        drawClear: [(/** @type {any} */ plot) => hatch(plot, drawing.gaps ?? [])],
        setCursor: [(/** @type {any} */ plot) => this.tell(plot.cursor.idx)],
      },
    };
  }

  /** @param {number | null | undefined} index Says the numbers under the pointer. */
  tell(index) {
    const detail = index === null || index === undefined ? null : index;
    this.place.dispatchEvent(new CustomEvent("point", { detail }));
  }
}

/** @param {number[]} at seconds @param {(ms: number) => string} label @returns {string[]} a label that repeats is left out */
function labels(at, label) {
  const found = at.map((s) => label(s * 1000));
  return found.map((one, index) => (one === found[index - 1] ? "" : one));
}

/** @param {Drawing} drawing @returns {(number | null)[][]} times in s, then one column a series */
function columns(drawing) {
  const bands = (drawing.bands ?? []).flatMap((band) => [band.low, band.high]);
  return [drawing.times.map((ms) => ms / 1000), ...drawing.series.map((one) => one.values), ...bands];
}

/** @param {any} Plot @param {Series} one @returns {object} */
function line(Plot, one) {
  const stroke = colour(one.colour);
  return {
    label: one.label,
    scale: one.axis ?? "y",
    stroke,
    width: one.width ?? 2,
    dash: one.dash,
    fill: one.fill ? wash(one.fill) : undefined,
    paths: one.steps === false ? Plot.paths.linear() : Plot.paths.stepped({ align: 1 }),
    points: { show: Boolean(one.points), size: 6, fill: stroke },
    spanGaps: false,
  };
}

const edge = () => ({ scale: "y", width: 0, stroke: "transparent", points: { show: false }, spanGaps: false });

/** @param {string} name @returns {string} */
function wash(name) {
  return colour(name).replace(/rgb\((.*)\)/, "rgba($1, .2)");
}

/** @param {any} plot @param {Span[]} gaps Hatches time without a count, under the curves. */
function hatch(plot, gaps) {
  const { left, top, width, height } = plot.bbox;
  const { ctx } = plot;
  const step = 7 * devicePixelRatio;
  ctx.save();
  for (const gap of gaps) {
    const from = Math.max(left, plot.valToPos(gap.from / 1000, "x", true));
    const to = Math.min(left + width, plot.valToPos(gap.to / 1000, "x", true));
    if (to <= from) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(from, top, Math.max(1, to - from), height);
    ctx.clip();
    ctx.fillStyle = wash("--gap-line");
    ctx.fill();
    ctx.strokeStyle = colour("--gap-line");
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    for (let x = from - height - ((from - left) % step); x < to; x += step) {
      ctx.moveTo(x, top + height);
      ctx.lineTo(x + height, top);
    }
    ctx.stroke();
    ctx.restore();
  }
  ctx.restore();
}

/**
 * Steps for uPlot: a value holds until its stretch ends, and nothing is drawn where no stretch follows.
 * @template {{start: number, end: number}} S
 * @param {S[]} stretches in order of time @param {((one: S) => number | null)[]} readers
 * @returns {{times: number[], columns: (number | null)[][]}}
 */
export function steps(stretches, readers) {
  /** @type {number[]} */
  const times = [];
  /** @type {(number | null)[][]} */
  const found = readers.map(() => []);
  const push = (/** @type {number} */ ms, /** @type {(number | null)[]} */ values) => {
    times.push(ms);
    values.forEach((value, index) => found[index].push(value));
  };
  stretches.forEach((one, index) => {
    const values = readers.map((read) => read(one));
    push(one.start, values);
    const next = stretches[index + 1];
    if (!next || next.start - one.end > (one.end - one.start) / 2) {
      push(one.end, values);
      push(one.end + 1, readers.map(() => null));
    }
  });
  return { times, columns: found };
}

