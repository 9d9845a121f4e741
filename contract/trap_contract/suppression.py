"""Non-maximum suppression in numpy: the only implementation in the house."""

import numpy as np
from numpy.typing import NDArray

from trap_contract.detections import Detections, FloatArray


def iou_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of boxes (N, 4) and (M, 4): shape (N, M)."""
    overlap = _intersections(a, b)
    union = _areas(a)[:, None] + _areas(b)[None, :] - overlap
    result: FloatArray = overlap / np.maximum(union, np.float32(1e-9))
    return result


def suppress(found: Detections, iou: float, *, class_aware: bool, limit: int = 300) -> Detections:
    """Keep the best box of every overlapping group, best score first, at most `limit`.

    With class_aware, boxes of different classes never suppress each other; on a trap they do, because an insect
    has one class.
    """
    order = np.argsort(-found.scores, kind="stable")
    boxes = found.boxes
    if class_aware and len(found):
        span = boxes.max() - boxes.min() + 1
        boxes = boxes + found.classes[:, None].astype(np.float32) * span
    return found.take(order[_greedy(boxes[order], iou, limit)])


def _greedy(boxes: FloatArray, iou: float, limit: int) -> NDArray[np.int64]:
    kept: list[int] = []
    alive = np.ones(len(boxes), bool)
    for index in range(len(boxes)):
        if not alive[index]:
            continue
        kept.append(index)
        if len(kept) == limit:
            break
        rest = np.flatnonzero(alive[index + 1 :]) + index + 1
        alive[rest[iou_matrix(boxes[index : index + 1], boxes[rest])[0] > iou]] = False
    return np.array(kept, np.int64)


def _areas(boxes: FloatArray) -> FloatArray:
    areas: FloatArray = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    return areas


def _intersections(a: FloatArray, b: FloatArray) -> FloatArray:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = (high - low).clip(0)
    overlap: FloatArray = sides[..., 0] * sides[..., 1]
    return overlap
