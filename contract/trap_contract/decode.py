"""From a model's raw outputs to boxes in input px: the only decoder in the house.

Scores are compared with the threshold before anything else is computed, in the tensor's own integers when it is
quantised; only the anchors that pass are dequantised. Box distances are the expectation of a softmax over reg_max
bins (Generalized Focal Loss, arXiv 2006.04388), in cells from the anchor's centre.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trap_contract.detections import Detections, FloatArray
from trap_contract.manifest import HeadSpec, InputSpec, OutputSpec
from trap_contract.suppression import Index, suppress, suppress_many

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """threshold and iou in 0..1; a trap gives every insect one class, a validator scores every class."""

    threshold: float
    iou: float = 0.5
    every_class: bool = False
    limit: int = 300


_FAR = 1e6
"""Beyond what any quantised tensor stores."""

VALIDATION = DecodeSettings(threshold=0.001, iou=0.7, every_class=True)
"""What Ultralytics' validator uses, so that the mAP of a bundle compares with its."""


def decode(outputs: Sequence[Tensor], head: HeadSpec, spec: InputSpec, settings: DecodeSettings) -> Detections:
    """Boxes of one picture, best first, in input px; `outputs` in the order of head.outputs, batch of one."""
    found, _ = _found(outputs, head, spec, settings)
    return suppress(found, settings.iou, class_aware=settings.every_class, limit=settings.limit)


def decode_many(
    batch: Sequence[Sequence[Tensor]], head: HeadSpec, spec: InputSpec, settings: DecodeSettings
) -> tuple[Detections, Index]:
    """What `decode` gives for each picture, one after the other, and the number of the picture that each box is of.

    For many pictures in which there is little: what takes the time then is the number of steps.
    """
    joined = [np.concatenate(outputs) for outputs in zip(*batch, strict=True)]
    found, pictures = _found(joined, head, spec, settings)
    return suppress_many(found, pictures, settings.iou, class_aware=settings.every_class, limit=settings.limit)


def _found(
    outputs: Sequence[Tensor], head: HeadSpec, spec: InputSpec, settings: DecodeSettings
) -> tuple[Detections, Index]:
    """What reaches the threshold, and the number of the picture that each box is of."""
    if head.kind == "decoded":
        return _whole(outputs[0], head, spec, settings)
    seen = [_at_stride(outputs, head, place, settings) for place in head.places]
    return _boxed([one for one in seen if one is not None], head.reg_max)


class _Seen(NamedTuple):
    """What reaches the threshold at one stride, in real numbers, still without boxes; centres and strides in px."""

    logits: FloatArray
    classes: Index
    bins: FloatArray
    centres: FloatArray
    strides: FloatArray
    pictures: Index


def _at_stride(
    outputs: Sequence[Tensor], head: HeadSpec, place: tuple[int, int, int], settings: DecodeSettings
) -> _Seen | None:
    stride, box_place, cls_place = place
    logits, rows, columns = _by_anchor(outputs[cls_place], head.layout)
    cls_spec, box_spec = head.outputs[cls_place], head.outputs[box_place]
    anchors, classes = _candidates(logits, _least(_logit(settings.threshold), cls_spec), settings.every_class)
    if not len(anchors):
        return None
    bins, *_ = _by_anchor(outputs[box_place], head.layout)
    pictures, cells = np.divmod(anchors, rows * columns)
    return _Seen(
        _real(logits[anchors, classes], cls_spec),
        classes,
        _real(bins[anchors], box_spec),
        _centres(rows, columns, stride)[cells],
        np.full((len(anchors), 1), stride, np.float32),
        pictures,
    )


def _boxed(seen: Sequence[_Seen], reg_max: int) -> tuple[Detections, Index]:
    """All strides at once: each step costs its call, however few the numbers."""
    if not seen:
        return Detections.empty(), np.zeros(0, np.int64)
    every = seen[0] if len(seen) == 1 else _Seen(*map(np.concatenate, zip(*seen, strict=True)))
    distances = _expected(every.bins, reg_max) * every.strides
    boxes = np.concatenate([every.centres - distances[:, :2], every.centres + distances[:, 2:]], axis=1)
    return Detections(boxes, _sigmoid(every.logits), every.classes), every.pictures


def _whole(output: Tensor, head: HeadSpec, spec: InputSpec, settings: DecodeSettings) -> tuple[Detections, Index]:
    rows, output_spec = _by_row(output), head.outputs[0]
    anchors, classes = _candidates(rows[:, 4:], _least(settings.threshold, output_spec), settings.every_class)
    scores = _real(rows[anchors, classes + 4], output_spec)
    centre_boxes = _real(rows[anchors, :4], output_spec)
    if head.box_unit == "relative":
        centre_boxes = centre_boxes * np.array([spec.width, spec.height] * 2, np.float32)
    centres, halves = centre_boxes[:, :2], centre_boxes[:, 2:] / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    return Detections(boxes, scores, classes), anchors // output.shape[2]


def _by_anchor(output: Tensor, layout: str) -> tuple[Tensor, int, int]:
    """A (N, H, W, C) or (N, C, H, W) map as (N*H*W, C), H and W."""
    if layout == "NHWC":
        return output.reshape(-1, output.shape[3]), *output.shape[1:3]
    return _by_row(output.reshape(*output.shape[:2], -1)), *output.shape[2:4]


def _by_row(output: Tensor) -> Tensor:
    """(N, C, A) as (N*A, C)."""
    return output[0].T if len(output) == 1 else output.transpose(0, 2, 1).reshape(-1, output.shape[1])


@lru_cache
def _centres(rows: int, columns: int, stride: int) -> FloatArray:
    """Centres (H*W, 2) of the cells, x and y, in px."""
    y, x = np.indices((rows, columns), np.float32).reshape(2, -1)
    return (np.stack([x, y], axis=1) + np.float32(0.5)) * np.float32(stride)


def _candidates(scores: Tensor, limit: float, every_class: bool) -> tuple[Index, Index]:
    """Anchor and class of each score at or above the limit; one class an anchor unless every_class."""
    anchors, classes = np.divmod(np.flatnonzero(scores >= limit), scores.shape[1])
    if every_class or not len(anchors):
        return anchors, classes
    is_first = np.ones(len(anchors), bool)
    np.not_equal(anchors[1:], anchors[:-1], out=is_first[1:])
    anchors = anchors[is_first]
    return anchors, scores[anchors].argmax(axis=1)


def _least(value: float, spec: OutputSpec) -> float:
    """What a stored number must be at least to be this real value or more; whole numbers are compared as such."""
    quantisation = spec.quantisation
    if quantisation is None:
        return value
    return math.ceil(min(max(value / quantisation.scale + quantisation.zero_point, -_FAR), _FAR))


def _real(stored: Tensor, spec: OutputSpec) -> FloatArray:
    real = stored.astype(np.float32)
    if spec.quantisation is not None:
        real = (real - np.float32(spec.quantisation.zero_point)) * np.float32(spec.quantisation.scale)
    return real


def _expected(bins: FloatArray, reg_max: int) -> FloatArray:
    """DFL logits (N, 4 * reg_max) to distances left, top, right, bottom (N, 4) in cells; one bin is the distance."""
    if reg_max == 1:
        return bins
    logits = bins.reshape(len(bins), 4, reg_max)
    weights: FloatArray = np.exp(logits - logits.max(axis=2, keepdims=True))
    expected: FloatArray = weights @ np.arange(reg_max, dtype=np.float32) / weights.sum(axis=2)
    return expected


def _logit(probability: float) -> float:
    if not 0 < probability < 1:
        return math.inf if probability > 0 else -math.inf
    return math.log(probability) - math.log1p(-probability)


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.maximum(logits, np.float32(-80)))), np.float32)  # exp(89) overflows float32
