"""What lies on a board beside insects and is never labelled: dust, fibres, lost legs, scales, drops, pencil lines."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from trap_scene import anatomy, insect
from trap_scene.anatomy import Joint
from trap_scene.board import Board, Pixels, cloud
from trap_scene.brush import Blade, Floats, Hairs, Part, Stroke
from trap_scene.sprite import Sprite, defocus, raster

_ORIGIN = np.zeros(2)


def scatter(rng: np.random.Generator, board: Board) -> None:
    """Litter a board in place, more on a larger one."""
    height, width = board.pixels.shape[:2]
    mess = width * height / 224**2 * rng.gamma(1.2, 1.0)
    if rng.random() < 0.12:
        _pencil_line(rng, board)
    for share, draw in _KINDS:
        for _ in range(rng.poisson(share * mess)):
            lay(board, draw(rng), rng.uniform(0, width), rng.uniform(0, height))
    for _ in range(rng.poisson(0.12 * mess)):
        _drop(rng, board)


def lay(board: Board, sprite: Sprite, x: float, y: float) -> None:
    """Blend a sprite on the board with its top left corner at x, y, in the board's light, cut at the border."""
    under, part = _meet(board, sprite.pixels, x, y)
    under *= 1 - part[..., 3:] * np.float32(1 / 255)
    under += part[..., :3] * board.tint


def cast_shadow(board: Board, sprite: Sprite, x: float, y: float, height_px: float) -> None:
    """Darken the board, in place, where a sprite `height_px` above it keeps the light away."""
    pad = int(np.ceil(2.5 * height_px))
    alpha = cv2.copyMakeBorder(sprite.pixels[..., 3], pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    veil = cv2.GaussianBlur(alpha, (0, 0), height_px)
    under, part = _meet(board, veil, x - pad + 0.8 * height_px, y - pad + height_px)
    under *= 1 - part[..., None] * np.float32(board.shadow / 255)


def _meet(board: Board, pixels: NDArray[np.uint8], x: float, y: float) -> tuple[Pixels, NDArray[np.uint8]]:
    """The part of the board below pixels laid at x, y, and the part of the pixels that is on the board."""
    top, left = round(y), round(x)
    height, width = board.pixels.shape[:2]
    under = board.pixels[max(top, 0) : max(top + pixels.shape[0], 0), max(left, 0) : max(left + pixels.shape[1], 0)]
    part = pixels[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
    return under, part


def _dust(rng: np.random.Generator) -> Sprite:
    size = rng.gamma(2.0, 0.5) + 0.5
    t = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    rim = size * rng.uniform(0.6, 1.2, (9, 1)) * np.stack([np.cos(t), rng.uniform(0.4, 1) * np.sin(t)], 1)
    colour = rng.uniform(15, 120) + rng.normal(0, 10, 3)
    return raster([Blade(rim, colour, rng.uniform(0.4, 0.95), anatomy.grain(rng, 0.2, 3))], _ORIGIN, 1.0, 0.0)


def _stain(rng: np.random.Generator) -> Sprite:
    """A dried spot of blood or excrement, or a smear of glue."""
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    wobble = 1 + 0.25 * np.sin(t * rng.integers(2, 5) + rng.uniform(0, 6)) + rng.normal(0, 0.05, 24)
    rim = (rng.uniform(2, 7) * wobble)[:, None] * np.stack([np.cos(t), rng.uniform(0.3, 1) * np.sin(t)], 1)
    colour = np.array([[30, 40, 85], [40, 62, 80], [190, 205, 210]][rng.integers(3)]) * rng.uniform(0.7, 1.1)
    stain = Blade(rim, colour, rng.uniform(0.12, 0.5), anatomy.grain(rng, 0.25, 3))
    return defocus(raster([stain], _ORIGIN, 1.0, rng.uniform(0, 2 * np.pi)), rng.uniform(0.6, 1.6))


def _fibre(rng: np.random.Generator) -> Sprite:
    count = 24
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.uniform(0.05, 0.3), count))
    path: Floats = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), 0) * rng.uniform(0.6, 2.6)
    colour = rng.uniform(20, 245) + rng.normal(0, 20, 3)
    return raster(
        [Stroke(path, np.full(count, rng.uniform(0.3, 0.9)), np.repeat(colour[None], count, axis=0))], _ORIGIN, 1.0, 0.0
    )


def _lost_leg(rng: np.random.Generator) -> Sprite:
    look = insect.draw_look(rng, True)
    pair = int(rng.integers(3))
    limb: list[Part] = [anatomy.leg(rng, look, Joint(_ORIGIN, rng.uniform(0, 2 * np.pi), rng.normal(0, 0.7, 3), pair))]
    return raster(limb, _ORIGIN, rng.uniform(28, 58), 0.0)


def _scales(rng: np.random.Generator) -> Sprite:
    count = int(rng.integers(3, 30))
    roots = rng.normal(0, rng.uniform(2, 9), (count, 2))
    tips = roots + rng.normal(0, 1.0, (count, 2))
    return raster([Hairs(roots, tips, insect.draw_look(rng, True).hair)], _ORIGIN, 1.0, 0.0)


_KINDS: tuple[tuple[float, Callable[[np.random.Generator], Sprite]], ...] = (
    (5.0, _dust),
    (0.7, _fibre),
    (0.5, _lost_leg),
    (0.6, _scales),
    (0.5, _stain),
)


def _drop(rng: np.random.Generator, board: Board) -> None:
    """A water drop: darker toward the light, a bright crescent opposite, a dark rim and a glint."""
    height, width = board.pixels.shape[:2]
    radius = rng.uniform(3, 11)
    cx, cy = rng.uniform(0, width), rng.uniform(0, height)
    rows = slice(max(int(cy - radius) - 2, 0), min(int(cy + radius) + 3, height))
    cols = slice(max(int(cx - radius) - 2, 0), min(int(cx + radius) + 3, width))
    y, x = np.mgrid[rows, cols].astype(np.float32)
    dx, dy = (x - cx) / radius, (y - cy) / (radius * rng.uniform(0.8, 1.0))
    r = np.hypot(dx, dy)
    inside = np.clip((1 - r) * radius, 0, 1)
    gain = 1 + inside * (0.16 * (dx + dy) * r - 0.28 * np.exp(-(((r - 0.95) / 0.1) ** 2)))
    glint = 150 * inside * np.exp(-((dx + 0.4) ** 2 + (dy + 0.45) ** 2) * radius * 1.6)
    patch = board.pixels[rows, cols]
    patch *= gain[..., None]
    patch += np.minimum(glint, 250 - patch.max(axis=2).clip(None, 250))[..., None]


def _pencil_line(rng: np.random.Generator, board: Board) -> None:
    """A ruled graphite line across the board, broken by the paper's grain."""
    height, width = board.pixels.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    ends = rng.uniform(-0.2, 1.2, (2, 2)) * (width, height)
    start, end = np.round(ends * 16).astype(int).tolist()
    cv2.line(mask, start, end, 255, int(rng.integers(1, 3)), cv2.LINE_AA, 4)
    tooth = np.clip(0.75 + 0.3 * cloud(rng, width, height, 2), 0.1, 1)
    board.pixels[:] *= 1 - (rng.uniform(0.25, 0.6) / 255 * mask * tooth)[..., None]
