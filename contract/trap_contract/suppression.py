"""Non-maximum suppression in numpy: the only implementation in the house."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from trap_contract.detections import Detections, FloatArray

Index = NDArray[np.int64]

_BLOCK = 64
"""Things compared with all that are left at once: few enough that a matrix of thousands of boxes stays small."""


def iou_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of boxes (N, 4) and (M, 4): shape (N, M)."""
    overlap = intersections(a, b)
    union = box_areas(a)[:, None] + box_areas(b) - overlap
    result: FloatArray = overlap / np.maximum(union, np.float32(1e-9))
    return result


def suppress(found: Detections, iou: float, *, class_aware: bool, limit: int = 300) -> Detections:
    """Keep the best box of every overlapping group, best score first, at most `limit`.

    With class_aware, boxes of different classes never suppress each other; on a trap they do, because an insect
    has one class.
    """
    if len(found) < 2:
        return found
    order = np.argsort(-found.scores, kind="stable")
    boxes = _apart(found, class_aware)[order]

    def overlap(rows: Index, columns: Index) -> NDArray[np.bool_]:
        return iou_matrix(boxes[rows], boxes[columns]) > iou

    return found.take(order[[index for index, _ in greedy_groups(len(boxes), overlap, limit)]])


def suppress_many(
    found: Detections, pictures: Index, iou: float, *, class_aware: bool, limit: int
) -> tuple[Detections, Index]:
    """The same in each of several pictures: what is kept of the first, then of the second, and which picture it is."""
    order = np.lexsort((-found.scores, pictures))
    boxes, pictures = _apart(found, class_aware)[order], pictures[order]

    def overlap(rows: Index, columns: Index) -> NDArray[np.bool_]:
        matrix = np.zeros((len(rows), len(columns)), bool)
        near = columns[: np.searchsorted(pictures[columns], pictures[rows[-1]], side="right")]
        is_one_picture = pictures[rows, None] == pictures[near]
        matrix[:, : len(near)] = is_one_picture & (iou_matrix(boxes[rows], boxes[near]) > iou)
        return matrix

    kept = np.array([index for index, _ in greedy_groups(len(boxes), overlap, len(boxes))], np.int64)
    kept = kept[np.arange(len(kept)) - np.searchsorted(pictures[kept], pictures[kept]) < limit]
    return found.take(order[kept]), pictures[kept]


def _apart(found: Detections, class_aware: bool) -> FloatArray:
    """The boxes, those of each class in a place of their own if classes are to be told apart."""
    if not class_aware or not len(found):
        return found.boxes
    span = found.boxes.max() - found.boxes.min() + 1
    moved: FloatArray = found.boxes + found.classes[:, None].astype(np.float32) * span
    return moved


def greedy_groups(
    count: int, same: Callable[[Index, Index], NDArray[np.bool_]], limit: int
) -> Iterator[tuple[int, Index]]:
    """Of so many things in order, each that none before it stands for, and the later ones that it stands for.

    `same(rows, columns)`, shape (rows, columns), tells which columns those rows would stand for. At most `limit` are
    given.
    """
    left, given = np.arange(count), 0
    while len(left) and given < limit:
        rows = left[:_BLOCK]
        matrix, alive = same(rows, left), np.ones(len(left), bool)
        for place in range(len(rows)):
            if not alive[place] or given == limit:
                continue
            group = matrix[place] & alive
            group[: place + 1] = False
            alive[group] = False
            given += 1
            yield int(rows[place]), left[group]
        left = left[_BLOCK:][alive[_BLOCK:]]


def box_areas(boxes: FloatArray) -> FloatArray:
    """Areas (N,) of boxes (N, 4)."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    areas: FloatArray = sides[:, 0] * sides[:, 1]
    return areas


def intersections(a: FloatArray, b: FloatArray) -> FloatArray:
    """Areas that boxes (N, 4) and (M, 4) share: (N, M)."""
    sides = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    np.maximum(sides, 0, out=sides)
    overlap: FloatArray = sides[..., 0] * sides[..., 1]
    return overlap
