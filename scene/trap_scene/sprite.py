"""A sprite: one thing cut out with soft edges, at picture resolution, ready to be laid on a board."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from trap_scene.brush import Floats, Frame, Layer, Part

SUPERSAMPLING = 3
_MARGIN_PX = 2
VISIBLE_ALPHA = 56  # of 255: fainter pixels do not count as the insect


@dataclass(frozen=True, slots=True)
class Sprite:
    """Premultiplied BGRA pixels, and where (x, y px) the head lies in them."""

    pixels: Layer
    head: tuple[float, float]


def extent(parts: Sequence[Part]) -> float:
    """The longest distance, in body units, from one end of the parts to another (of the bounding box)."""
    points = np.concatenate([part.reach() for part in parts])
    return float(np.hypot(*(points.max(axis=0) - points.min(axis=0))))


def raster(parts: Sequence[Part], head: Floats, unit_px: float, turn: float) -> Sprite:
    """Paint parts in their order, `unit_px` picture pixels to the body unit, turned by `turn` radians."""
    light = np.array([-0.42, -0.5, 0.757])
    scale = unit_px * SUPERSAMPLING
    bare = Frame(scale, turn, np.zeros(2), light)
    points = np.concatenate([bare.place(part.reach()) for part in parts])
    margin = _MARGIN_PX * SUPERSAMPLING
    low = points.min(axis=0) - margin
    size = np.ceil((points.max(axis=0) + margin - low) / SUPERSAMPLING).astype(int)
    frame = replace(bare, origin=-low)
    canvas = np.zeros((size[1] * SUPERSAMPLING, size[0] * SUPERSAMPLING, 4), np.uint8)
    for part in parts:
        part.paint(canvas, frame)
    x, y = frame.place(head[None])[0] / SUPERSAMPLING
    small = cv2.resize(canvas, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    return Sprite(small, (float(x), float(y)))


def defocus(sprite: Sprite, radius_px: float) -> Sprite:
    """The sprite out of focus: each point becomes an even disc of this radius, colour and alpha alike."""
    pad = int(np.ceil(radius_px)) + 1
    r = np.arange(-pad, pad + 1)
    disc = np.clip(radius_px + 0.5 - np.hypot(r[None], r[:, None]), 0, 1)
    wide = cv2.copyMakeBorder(sprite.pixels, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    soft = cv2.filter2D(wide, -1, disc / disc.sum(), borderType=cv2.BORDER_CONSTANT)
    return Sprite(soft, (sprite.head[0] + pad, sprite.head[1] + pad))
