"""Golden pictures: a few pictures that travel in a bundle, with what it found in them when it was built.

A trap asks a new bundle the same question before it trusts it. Other processors round INT8 a little differently, so
what lies within MARGIN of the threshold may come or go; a surer box must be there again, with its class and place.
"""

import base64
from collections.abc import Iterable

import cv2
import numpy as np

from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.errors import BundleError
from trap_contract.letterbox import Pixels
from trap_contract.manifest import Golden, GoldenBox
from trap_contract.pictures import decode_picture
from trap_contract.suppression import iou_matrix

MARGIN = 0.1
"""How far above the threshold a score must be to count as sure."""
OVERLAP = 0.5
_QUALITY = 90


def recorded(detector: Detector, pictures: Iterable[Pixels]) -> tuple[Golden, ...]:
    """BGR pictures, at most as large as the model's input, with what the detector finds in their JPEGs."""
    return tuple(_golden(detector, picture) for picture in pictures)


def check_golden(detector: Detector, place: str) -> int:
    """Run a bundle's golden pictures, at its own threshold; how many there were.

    Raises BundleError, which names `place`, when a sure box is not found again, or one is found that was not there.
    """
    pictures = detector.manifest.golden
    for number, golden in enumerate(pictures, 1):
        expected, found = _expected(golden), detector.detect(_pixels(golden, place))
        sure = detector.manifest.threshold + MARGIN
        lost, new = _missing(expected, found, sure), _missing(found, expected, sure)
        if lost or new:
            raise BundleError(
                f"{place}: golden picture {number} of {len(pictures)}: {len(expected)} insects expected, {len(found)} "
                f"found, of the sure ones {lost} lost and {new} new: this runtime counts otherwise than the one it was "
                "built with: export it again, or install the runtime that its manifest names"
            )
    return len(pictures)


def _golden(detector: Detector, picture: Pixels) -> Golden:
    spec = detector.manifest.input
    scale = min(1.0, spec.width / picture.shape[1], spec.height / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    found = detector.detect(decode_picture(data.tobytes(), "a golden picture"))
    boxes = zip(found.classes.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
    return Golden(
        jpeg=base64.b64encode(data.tobytes()).decode(),
        found=tuple(GoldenBox(name=n, score=round(s, 4), box=tuple(round(side, 1) for side in b)) for n, s, b in boxes),
    )


def _pixels(golden: Golden, place: str) -> Pixels:
    return decode_picture(base64.b64decode(golden.jpeg), f"{place}: a golden picture")


def _expected(golden: Golden) -> Detections:
    found = golden.found
    boxes = np.array([one.box for one in found], np.float32).reshape(-1, 4)
    scores = np.array([one.score for one in found], np.float32)
    return Detections(boxes, scores, np.array([one.name for one in found], np.int64))


def _missing(these: Detections, those: Detections, sure: float) -> int:
    """How many of these, with a sure score, have no box of their class in those."""
    overlap = iou_matrix(these.boxes, those.boxes) * (these.classes[:, None] == those.classes[None, :])
    is_there = (overlap >= OVERLAP).any(axis=1) if len(those) else np.zeros(len(these), bool)
    return int(((these.scores >= sure) & ~is_there).sum())
