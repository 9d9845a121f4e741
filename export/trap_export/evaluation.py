"""Average precision of a bundle, through the very detector the trap runs.

Matching and averaging as in Ultralytics' validator: best score first, each box takes the free truth of its class that
it overlaps most, at ten IoU thresholds; precision curves are averaged by Ultralytics' own ap_per_class.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from trap_contract.dataset import DataSet, read_labels
from trap_contract.decode import VALIDATION
from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.errors import DataError
from trap_contract.manifest import ClassMetrics, Metrics
from trap_contract.pictures import read_picture
from trap_contract.suppression import iou_matrix, suppress

IOUS = np.linspace(0.5, 0.95, 10)
_CONFUSION_IOU = 0.45


@dataclass(frozen=True, slots=True)
class Scored:
    """What was found in one picture at the validator's low threshold, and the truth, in px."""

    found: Detections
    truth: Detections


def score_pictures(detector: Detector, data: DataSet, split: str) -> Iterator[Scored]:
    """Run a bundle over every picture of a split.

    Raises DataError when bundle and data do not have the same classes, or a picture can't be read.
    """
    if detector.manifest.classes != data.names:
        raise DataError(f"{data.file}: its classes {data.names} are not the bundle's: {detector.manifest.classes}")
    validating = detector.with_settings(VALIDATION)
    for picture in data.pictures(split):
        pixels = read_picture(picture)
        yield Scored(validating.detect(pixels), _truth(picture, pixels.shape[1], pixels.shape[0]))


def measure(scored: list[Scored], classes: tuple[str, ...], threshold: float, iou: float) -> Metrics:
    """Average precision over all pictures, and the confusion matrix at the bundle's own threshold."""
    precision, rows = average_precision(scored)
    means = precision.mean(axis=1)
    return Metrics(
        map50=float(precision[:, 0].mean()) if len(rows) else 0.0,
        map50_95=float(means.mean()) if len(rows) else 0.0,
        classes={
            classes[name]: ClassMetrics(map50=float(precision[row, 0]), map50_95=float(means[row]))
            for row, name in enumerate(rows)
        },
        pictures=len(scored),
        confusion=tuple(map(tuple, confusion(scored, len(classes), threshold, iou).tolist())),
    )


def average_precision(scored: list[Scored]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """AP at the ten IoU thresholds (classes with truth, 10), and which classes those are."""
    from ultralytics.utils.metrics import ap_per_class

    hits = np.concatenate([_hits(one) for one in scored])
    scores = np.concatenate([one.found.scores for one in scored])
    names = np.concatenate([one.found.classes for one in scored])
    truth = np.concatenate([one.truth.classes for one in scored])
    if not len(truth):
        return np.zeros((0, len(IOUS))), np.zeros(0, np.int64)
    *_, precision, present = ap_per_class(hits, scores, names, truth)[:7]
    return np.asarray(precision, np.float64), np.asarray(present, np.int64)


def best_threshold(scored: list[Scored]) -> float:
    """The score, in steps of 0.01, at which F1 over all insects is highest; the middle one of equals."""
    grid = np.arange(0.05, 0.95, 0.01)
    scores = [_f1(scored, float(threshold)) for threshold in grid]
    best = np.flatnonzero(np.isclose(scores, max(scores)))
    return round(float(grid[best[len(best) // 2]]), 2)


def confusion(scored: list[Scored], classes: int, threshold: float, iou: float) -> NDArray[np.int64]:
    """Counts (classes + 1, classes + 1): rows truth, columns predicted, the last of each is background."""
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for one in scored:
        found = on_trap(one.found, threshold, iou)
        pairs = _pairs(one.truth, found, _CONFUSION_IOU, same_class=False)
        for truth, prediction in pairs:
            matrix[one.truth.classes[truth], found.classes[prediction]] += 1
        for truth in np.setdiff1d(np.arange(len(one.truth)), pairs[:, 0]):
            matrix[one.truth.classes[truth], classes] += 1
        for prediction in np.setdiff1d(np.arange(len(found)), pairs[:, 1]):
            matrix[classes, found.classes[prediction]] += 1
    return matrix


def on_trap(found: Detections, threshold: float, iou: float) -> Detections:
    """What the trap would have reported: one class an insect, above the threshold."""
    return suppress(found.take(found.scores >= threshold), iou, class_aware=False)


def _truth(picture: Path, width: int, height: int) -> Detections:
    labels = read_labels(picture)
    boxes = labels.corners(width, height).astype(np.float32)
    return Detections(boxes, np.ones(len(labels), np.float32), labels.classes)


def _f1(scored: list[Scored], threshold: float) -> float:
    hit = wrong = missed = 0
    for one in scored:
        found = on_trap(one.found, threshold, 0.5)
        pairs = len(_pairs(one.truth, found, 0.5, same_class=True))
        hit, wrong, missed = hit + pairs, wrong + len(found) - pairs, missed + len(one.truth) - pairs
    return 2 * hit / max(2 * hit + wrong + missed, 1)


def _hits(one: Scored) -> NDArray[np.bool_]:
    """Whether each box found is right at each IoU threshold: shape (boxes, 10)."""
    hits = np.zeros((len(one.found), len(IOUS)), bool)
    for place, iou in enumerate(IOUS):
        hits[_pairs(one.truth, one.found, float(iou), same_class=True)[:, 1], place] = True
    return hits


def _pairs(truth: Detections, found: Detections, iou: float, *, same_class: bool) -> NDArray[np.int64]:
    """(truth, prediction) positions, shape (P, 2): best score first, each takes the free truth it overlaps most."""
    overlap = iou_matrix(truth.boxes, found.boxes)
    if same_class:
        overlap = overlap * (truth.classes[:, None] == found.classes[None, :])
    is_free = np.ones(len(truth), bool)
    pairs = []
    for prediction in np.flatnonzero((overlap >= iou).any(axis=0)):
        best = int((overlap[:, prediction] * is_free).argmax())
        if is_free[best] and overlap[best, prediction] >= iou:
            is_free[best] = False
            pairs.append((best, prediction))
    return np.array(pairs, np.int64).reshape(-1, 2)
