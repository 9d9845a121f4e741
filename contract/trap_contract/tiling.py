"""Tiles over a board larger than the model's input, and one count for an insect that several tiles saw."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trap_contract.detections import Detections, FloatArray
from trap_contract.errors import ConfigError
from trap_contract.suppression import Index, box_areas, greedy_groups, intersections

DEFAULT_OVERLAP = 100
"""Pixels shared by neighbours: more than most insects span, so that one tile sees each of them whole."""

_CUT_MARGIN_PX = 2.0
_SAME_INSECT_IOU = 0.5
_SAME_INSECT_COVER = 0.6


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of a picture, in px."""

    left: int
    top: int
    size: int


def tile_grid(width: int, height: int, size: int, overlap: int = DEFAULT_OVERLAP) -> list[Tile]:
    """Fewest evenly spread square tiles that cover a picture, neighbours sharing at least `overlap` px.

    Raises ConfigError unless 0 <= overlap < size. A side shorter than `size` gets one tile that sticks out.
    """
    if not 0 <= overlap < size:
        raise ConfigError(f"tile size {size} px must be above the overlap of {overlap} px: give --tile more")
    return [Tile(x, y, size) for y in _starts(height, size, overlap) for x in _starts(width, size, overlap)]


def cut_tile(picture: NDArray[np.uint8], tile: Tile) -> NDArray[np.uint8]:
    """The part of a (H, W, 3) picture under a tile; less than a square where the picture ends."""
    return picture[tile.top : tile.top + tile.size, tile.left : tile.left + tile.size]


def merge_seams(parts: list[tuple[Tile, Detections]], width: int, height: int, limit: int = 3000) -> Detections:
    """One box an insect, in px of the picture, from the boxes of every tile in that tile's px.

    Boxes of different tiles are the same insect when they overlap well (intersection over union), or when a tile's
    inner edge cut one of them and most of the smaller lies in the other; two pieces cut from one insect are joined.
    """
    found = Detections.joined([_moved(tile, part) for tile, part in parts])
    if not len(found):
        return found
    tiles = np.repeat(np.arange(len(parts)), [len(part) for _, part in parts])
    cut = np.concatenate([_is_cut(tile, part.boxes, width, height) for tile, part in parts])
    return _merged(found, tiles, cut, limit)


def _starts(length: int, size: int, overlap: int) -> list[int]:
    if length <= size:
        return [0]
    count = -(-(length - overlap) // (size - overlap))
    return [round(place * (length - size) / (count - 1)) for place in range(count)]


def _moved(tile: Tile, part: Detections) -> Detections:
    offset = np.array([tile.left, tile.top] * 2, np.float32)
    return Detections(part.boxes + offset, part.scores, part.classes)


def _is_cut(tile: Tile, boxes: FloatArray, width: int, height: int) -> NDArray[np.bool_]:
    """Whether a box (N, 4), in tile px, ends at an edge of the tile that is not an edge of the picture."""
    inner = np.array([tile.left > 0, tile.top > 0, tile.left + tile.size < width, tile.top + tile.size < height])
    low, high = boxes[:, :2] <= _CUT_MARGIN_PX, boxes[:, 2:] >= tile.size - _CUT_MARGIN_PX
    touches: NDArray[np.bool_] = (np.concatenate([low, high], axis=1) & inner).any(axis=1)
    return touches


def _merged(found: Detections, tiles: Index, cut: NDArray[np.bool_], limit: int) -> Detections:
    order = np.lexsort((-found.scores, cut))  # whole boxes first, best score first
    found, tiles, cut = found.take(order), tiles[order], cut[order]
    boxes, kept = found.boxes.copy(), []
    for index, rest in greedy_groups(len(found), partial(_same, found.boxes, tiles, cut), limit):
        kept.append(index)
        if cut[index] and len(rest):
            group = found.boxes[np.append(rest, index)]
            boxes[index] = [*group[:, :2].min(axis=0), *group[:, 2:].max(axis=0)]
    merged = Detections(boxes, found.scores, found.classes).take(np.array(kept, np.int64))
    return merged.take(np.argsort(-merged.scores, kind="stable"))


def _same(boxes: FloatArray, tiles: Index, cut: NDArray[np.bool_], rows: Index, columns: Index) -> NDArray[np.bool_]:
    """Which of the columns, of other tiles, show the same insects as the rows: (rows, columns)."""
    overlap = intersections(boxes[rows], boxes[columns])
    own, areas = box_areas(boxes[rows])[:, None], box_areas(boxes[columns])
    iou = overlap / np.maximum(areas + own - overlap, 1e-6)
    cover = overlap / np.maximum(np.minimum(areas, own), 1e-6)
    is_piece = (cut[columns] | cut[rows, None]) & (cover > _SAME_INSECT_COVER)
    same: NDArray[np.bool_] = (tiles[columns] != tiles[rows, None]) & ((iou > _SAME_INSECT_IOU) | is_piece)
    return same
