"""Pictures of boards with their exact truth: insects placed apart on a littered board, seen by a camera."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trap_scene import board as boards
from trap_scene import insect, litter, others
from trap_scene.sprite import VISIBLE_ALPHA, Sprite

CLASSES: tuple[str, ...] = ("Female", "Male", "Incomplete", "Out of Focus", "Undefined")
FEMALE, MALE, INCOMPLETE, OUT_OF_FOCUS, UNDEFINED = range(len(CLASSES))
FREQUENCIES = (0.32, 0.32, 0.12, 0.12, 0.12)
MAX_IOU = 0.2
_CROWDED = 0.25  # of the insects may come as near as MAX_IOU; the others keep clear
_COUNTS = (0.06, 0.2, 0.25, 0.21, 0.14, 0.09, 0.05)  # chance of 0..6 insects on a small picture
_CUT_SHARE = 0.3  # of the Incomplete: those cut by the picture's border
_TRIES = 40

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One insect's truth: index into CLASSES, and x0, y0, x1, y1 px, tight on what is visible."""

    label: int
    box: Box


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels (H,W,3) BGR and the truth of every insect in them."""

    pixels: NDArray[np.uint8]
    truth: tuple[Labelled, ...]


@dataclass(frozen=True, slots=True)
class _Spot:
    sprite: Sprite
    x: int
    y: int
    truth: Labelled


def render_picture(rng: np.random.Generator, width: int = 224, height: int = 224) -> Picture:
    """A random board with 0 to 6 insects."""
    return _render(rng, width, height, int(rng.choice(len(_COUNTS), p=_COUNTS)))


def render_board(rng: np.random.Generator, width: int = 1920, height: int = 1080, insects: int = 40) -> Picture:
    """A large board with the same insects, for tiled detection; fewer than `insects` if they do not fit."""
    return _render(rng, width, height, insects)


def draw_sprite(rng: np.random.Generator, label: int, longest_px: float = insect.LONGEST_PX) -> Sprite:
    """One insect of a class, by its index in CLASSES."""
    if label in {FEMALE, MALE}:
        return insect.draw_whole(rng, label == MALE, longest_px)
    draw = {
        INCOMPLETE: insect.draw_incomplete,
        OUT_OF_FOCUS: insect.draw_out_of_focus,
        UNDEFINED: others.draw_other,
    }[label]
    return draw(rng, longest_px)


def visible_box(sprite: Sprite, x: int, y: int, width: int, height: int) -> Box | None:
    """The box of a sprite's visible pixels at x, y inside a picture of this size; None when nothing shows."""
    part = _shown(sprite, x, y, width, height)
    rows, cols = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not len(rows):
        return None
    left, top = max(x, 0), max(y, 0)
    return float(left + cols[0]), float(top + rows[0]), float(left + cols[-1] + 1), float(top + rows[-1] + 1)


def _shown(sprite: Sprite, x: int, y: int, width: int, height: int) -> NDArray[np.bool_]:
    inside = sprite.pixels[max(-y, 0) : max(height - y, 0), max(-x, 0) : max(width - x, 0), 3]
    return np.asarray(inside >= VISIBLE_ALPHA)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _render(rng: np.random.Generator, width: int, height: int, insects: int) -> Picture:
    board = boards.draw_board(rng, width, height)
    litter.scatter(rng, board)
    spots: list[_Spot] = []
    for _ in range(insects):
        spot = _find_spot(rng, [s.truth.box for s in spots], width, height)
        if spot is not None:
            spots.append(spot)
    for spot in spots:
        litter.cast_shadow(board, spot.sprite, spot.x, spot.y, rng.uniform(1.0, 2.6))
        litter.lay(board, spot.sprite, spot.x, spot.y)
    return Picture(boards.draw_camera(rng).shoot(rng, board.pixels), tuple(spot.truth for spot in spots))


def _find_spot(rng: np.random.Generator, taken: list[Box], width: int, height: int) -> _Spot | None:
    """A new insect where it overlaps no other by more than MAX_IOU, or None if there is no room."""
    label = int(rng.choice(len(CLASSES), p=FREQUENCIES))
    cut = label == INCOMPLETE and rng.random() < _CUT_SHARE
    longest_px = min(insect.LONGEST_PX, 0.9 * min(width, height))
    sprite = draw_sprite(rng, int(rng.choice([FEMALE, MALE])) if cut else label, longest_px)
    limit = MAX_IOU if rng.random() < _CROWDED else 0.02
    high, wide = sprite.pixels.shape[:2]
    for _ in range(_TRIES):
        x, y = _anywhere(rng, wide, width, cut), _anywhere(rng, high, height, cut)
        box = visible_box(sprite, x, y, width, height)
        if box is None or any(iou(box, other) > limit for other in taken):
            continue
        if not cut or _is_cut(sprite, x, y, width, height):
            return _Spot(sprite, x, y, Labelled(label, box))
    return None


def _anywhere(rng: np.random.Generator, size: int, room: int, cut: bool) -> int:
    over = size * 8 // 10 if cut else 0
    return int(rng.integers(-over, max(room - size + over, -over) + 1))


def _is_cut(sprite: Sprite, x: int, y: int, width: int, height: int) -> bool:
    """Whether the border hides the head and most of the insect, but not all."""
    head_x, head_y = x + sprite.head[0], y + sprite.head[1]
    hidden = not (-12 < head_x < width + 12 and -12 < head_y < height + 12)
    part = _shown(sprite, x, y, width, height)
    share = float(part.sum()) / float((sprite.pixels[..., 3] >= VISIBLE_ALPHA).sum())
    return hidden and 0.25 < share < 0.6 and min(part.any(axis=0).sum(), part.any(axis=1).sum()) >= 16
