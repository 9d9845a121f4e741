"""Paint body parts, given in body units, on a premultiplied BGRA canvas: strokes, hairs, solid tubes, clear blades."""

from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Texture = NDArray[np.float32]
Layer = NDArray[np.uint8]  # H,W,4: blue, green, red, alpha, the colours already multiplied by alpha

_SHIFT = 4  # cv2 draws at 1/16 px
_STEPS = 256  # samples along a tube


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the body lies on the canvas: px per body unit, turn in radians, origin px, unit vector to the light."""

    scale: float
    turn: float
    origin: Floats
    light: Floats

    def place(self, points: Floats) -> Floats:
        """Canvas px of body points, (N,2) to (N,2)."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.asarray(self.origin + self.scale * points @ np.array([[c, s], [-s, c]]))

    def within(self, rows: slice, cols: slice) -> "Frame":
        """The same frame, seen from a window of the canvas."""
        return replace(self, origin=self.origin - (cols.start, rows.start))


class Part(Protocol):
    """Anything that can be painted: it knows its outermost points and how to lay itself on a canvas."""

    def reach(self) -> Floats: ...

    def paint(self, canvas: Layer, frame: Frame) -> None: ...


def over(under: Layer, top: NDArray[np.uint8] | NDArray[np.float32]) -> None:
    """Lay one premultiplied layer on another of the same size, in place."""
    clear = 1.0 - top[..., 3:].astype(np.float32) / 255.0
    under[:] = (top + under * clear + 0.5).clip(0, 255).astype(np.uint8)


def _fixed(points: Floats) -> NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT)).astype(np.int32)


def _inks(colours: Floats, opacity: float = 1.0) -> list[list[float]]:
    """Premultiplied BGRA of colours (N,3)."""
    opaque = np.column_stack([np.clip(colours, 0, 255), np.full(len(colours), 255.0)])
    inks: list[list[float]] = (opaque * opacity).tolist()
    return inks


def _window(canvas: Layer, points: Floats, margin: float) -> tuple[slice, slice]:
    low = np.clip(np.floor(points.min(axis=0) - margin), 0, None).astype(int)
    high = np.ceil(points.max(axis=0) + margin).astype(int) + 1
    return slice(low[1], min(high[1], canvas.shape[0])), slice(low[0], min(high[0], canvas.shape[1]))


def _lines(canvas: Layer, at: Floats, inks: list[list[float]], widths: list[int]) -> None:
    """Join successive points; a width of 0 leaves that piece out."""
    ends = _fixed(at).tolist()
    for start, end, ink, width in zip(ends[:-1], ends[1:], inks, widths, strict=True):
        if width:
            cv2.line(canvas, start, end, ink, width, cv2.LINE_AA, _SHIFT)


@dataclass(frozen=True, slots=True)
class Stroke:
    """A tapered line: path (N,2), full width at each point (N,), colour at each point (N,3)."""

    path: Floats
    width: Floats
    colour: Floats

    def reach(self) -> Floats:
        return self.path

    def paint(self, canvas: Layer, frame: Frame) -> None:
        self.draw(canvas, frame, frame.place(self.path), 1.0)

    def draw(self, canvas: Layer, frame: Frame, at: Floats, opacity: float) -> None:
        """Draw along canvas points `at`; a stroke of 3 px or more gets a lit edge."""
        widths = np.clip(0.5 * (self.width[1:] + self.width[:-1]) * frame.scale + 0.5, 1, None).astype(int)
        colour = 0.5 * (self.colour[1:] + self.colour[:-1])
        _lines(canvas, at, _inks(colour, opacity), widths.tolist())
        if widths.max() >= 3:
            lit = at + frame.light[:2] * (0.3 * frame.scale * self.width[:, None])
            _lines(canvas, lit, _inks(colour * 1.2 + 14, opacity), (widths >= 3).astype(int).tolist())


@dataclass(frozen=True, slots=True)
class Hairs:
    """Many fine straight hairs, one canvas pixel wide: roots (N,2), tips (N,2), one colour (3,)."""

    roots: Floats
    tips: Floats
    colour: Floats
    opacity: float = 0.6

    def reach(self) -> Floats:
        return self.tips

    def paint(self, canvas: Layer, frame: Frame) -> None:
        rows, cols = _window(canvas, frame.place(np.concatenate([self.roots, self.tips])), 2.0)
        layer = np.zeros_like(canvas[rows, cols])
        self.draw(layer, frame.within(rows, cols), self.opacity)
        over(canvas[rows, cols], layer)

    def draw(self, canvas: Layer, frame: Frame, opacity: float) -> None:
        """Draw at the given opacity, which replaces what is below: for hairs on a fresh layer."""
        lines = _fixed(np.stack([frame.place(self.roots), frame.place(self.tips)], axis=1))
        cv2.polylines(canvas, list(lines), False, _inks(self.colour[None], opacity)[0], 1, cv2.LINE_AA, _SHIFT)


@dataclass(frozen=True, slots=True)
class Tube:
    """A solid of round section from `start` to `end`.

    `radii` (N,) are read at equal steps along the axis, which leaves its line by `droop` x length at the far end.
    `skin` (along, across, 3) is the surface colour before shading; `gloss` 0..1 adds a highlight.
    """

    start: Floats
    end: Floats
    radii: Floats
    skin: Texture
    droop: float = 0.0
    gloss: float = 0.15

    def reach(self) -> Floats:
        axis = self.end - self.start
        side = np.array([-axis[1], axis[0]]) / np.hypot(*axis)
        spine = np.linspace(0, 1, len(self.radii))[:, None]
        middle = self.start + spine * axis + spine**2 * self.droop * np.hypot(*axis) * side
        return np.concatenate([middle + side * self.radii[:, None], middle - side * self.radii[:, None]])

    def paint(self, canvas: Layer, frame: Frame) -> None:
        rows, cols = _window(canvas, frame.place(self.reach()), 2.0)
        start, end = frame.place(np.stack([self.start, self.end])).astype(np.float32)
        length = float(np.hypot(*(end - start)))
        axis = (end - start) / length
        side = np.array([-axis[1], axis[0]], np.float32)
        x = np.arange(cols.start, cols.stop, dtype=np.float32) - start[0]
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) - start[1])[:, None]
        u = (x * axis[0] + y * axis[1]) / length
        v = x * side[0] + y * side[1] - self.droop * length * u * np.abs(u)
        radii = np.interp(np.linspace(0, 1, _STEPS), np.linspace(0, 1, len(self.radii)), self.radii * frame.scale)
        slopes = np.clip(np.gradient(radii, length / _STEPS), -1.5, 1.5).astype(np.float32)
        step = (u * (_STEPS - 1)).clip(0, _STEPS - 1).astype(np.int32)
        radius = radii.astype(np.float32)[step]
        cover = np.clip(radius - np.abs(v) + 0.5, 0, 1) * ((u > 0) & (u < 1))
        s = np.clip(v / np.maximum(radius, 0.5), -1, 1)
        light = (float(axis @ frame.light[:2]), float(side @ frame.light[:2]), float(frame.light[2]))
        painted = self._lit(u, s, slopes[step], light)
        top = np.dstack([painted * cover[..., None], cover * 255.0])
        over(canvas[rows, cols], top)

    def _lit(self, u: Texture, s: Texture, slope: Texture, light: tuple[float, float, float]) -> Texture:
        """Lambert shading of the skin with a soft highlight; `light` is along the axis, across it, and upward."""
        upright = np.sqrt(np.maximum(1.0 - s * s, 0.0))
        facing = (s * light[1] + upright * light[2] - slope * light[0]) / np.sqrt(1.0 + slope * slope)
        facing = np.maximum(facing, 0.0)
        height, width = self.skin.shape[:2]
        skin = cv2.remap(self.skin, (s + 1) * (0.5 * (width - 1)), u * (height - 1), cv2.INTER_LINEAR)
        bright = (0.38 + 0.72 * facing) * (0.75 + 0.25 * upright)
        shine = np.float32(150 * self.gloss) * facing**12
        return np.asarray(np.clip(skin.reshape(*u.shape, 3) * bright[..., None] + shine[..., None], 0, 255), np.float32)


@dataclass(frozen=True, slots=True)
class Blade:
    """A flat translucent membrane: outline (N,2), colour, opacity 0..1, veins, fringe and a grain (h,w) around 1."""

    outline: Floats
    colour: Floats
    opacity: float
    grain: Texture
    veins: tuple[Stroke, ...] = ()
    fringe: Hairs | None = None

    def reach(self) -> Floats:
        return self.outline if self.fringe is None else np.concatenate([self.outline, self.fringe.tips])

    def paint(self, canvas: Layer, frame: Frame) -> None:
        rows, cols = _window(canvas, frame.place(self.reach()), 2.0)
        layer = np.zeros_like(canvas[rows, cols])
        local = frame.within(rows, cols)
        if self.fringe is not None:
            self.fringe.draw(layer, local, min(1.0, self.opacity * 1.3))
        membrane = _inks(self.colour[None], self.opacity)[0]
        cv2.fillPoly(layer, [_fixed(local.place(self.outline))], membrane, cv2.LINE_AA, _SHIFT)
        for vein in self.veins:
            vein.draw(layer, local, local.place(vein.path), min(1.0, 0.25 + self.opacity))
        grain = cv2.resize(self.grain, layer.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        over(canvas[rows, cols], np.clip(layer * grain[..., None], 0, 255))
