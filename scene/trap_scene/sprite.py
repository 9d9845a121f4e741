"""A sprite: one thing cut out with soft edges, at picture resolution, ready to be laid on a board."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from trap_scene.brush import Floats, Frame, Layer, Part

SUPERSAMPLING = 3
_MARGIN_PX = 2
VISIBLE_ALPHA = 36  # of 255: fainter pixels do not count as the insect


@dataclass(frozen=True, slots=True)
class Sprite:
    """Premultiplied BGRA pixels, where (x, y px) the head and the body's origin lie in them, and px per body unit."""

    pixels: Layer
    head: tuple[float, float]
    centre: tuple[float, float]
    unit_px: float


def extent(parts: Sequence[Part]) -> float:
    """The longest distance between two points of the parts, in body units."""
    points = np.concatenate([part.reach() for part in parts]).astype(np.float32)
    hull = cv2.convexHull(points)[:, 0]
    return float(np.hypot(*(hull[:, None] - hull[None]).transpose(2, 0, 1)).max())


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
    small = cv2.resize(canvas, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    (head_x, head_y), (x, y) = (frame.place(np.stack([head, np.zeros(2)])) / SUPERSAMPLING).tolist()
    return Sprite(small, (head_x, head_y), (x, y), unit_px)


def defocus(sprite: Sprite, radius_px: float) -> Sprite:
    """The sprite out of focus: each point becomes an even disc of this radius, colour and alpha alike."""
    pad = int(np.ceil(radius_px)) + 1
    r = np.arange(-pad, pad + 1)
    disc = np.clip(radius_px + 0.5 - np.hypot(r[None], r[:, None]), 0, 1)
    wide = cv2.copyMakeBorder(sprite.pixels, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    soft = cv2.filter2D(wide, -1, disc / disc.sum(), borderType=cv2.BORDER_CONSTANT)
    (head_x, head_y), (x, y) = sprite.head, sprite.centre
    return Sprite(soft, (head_x + pad, head_y + pad), (x + pad, y + pad), sprite.unit_px)


def turned(sprite: Sprite, turn: float, shift: tuple[float, float]) -> Sprite:
    """The sprite turned about its centre by `turn` radians and then moved by `shift` px; its centre is whole."""
    high, wide = sprite.pixels.shape[:2]
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[c, -s], [s, c]])
    corners = (np.array([[0, 0], [wide, 0], [0, high], [wide, high]]) - sprite.centre) @ rotation.T
    low, far = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 2
    move = np.array(shift) - low - rotation @ sprite.centre
    size = (far - low).astype(int).tolist()
    pixels = cv2.warpAffine(sprite.pixels, np.column_stack([rotation, move]), size, flags=cv2.INTER_CUBIC)
    head_x, head_y = (rotation @ sprite.head + move).tolist()
    return Sprite(np.asarray(pixels, np.uint8), (head_x, head_y), (float(-low[0]), float(-low[1])), sprite.unit_px)
