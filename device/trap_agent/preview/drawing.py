"""Boxes, classes and scores on a picture."""

import numpy as np
from numpy.typing import NDArray
from trap_contract.detections import Detections
from trap_contract.vision import cv2

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

WIDEST = 1280
"""Pixels; a larger board is shown smaller."""

_NARROWEST = 640
COLOURS: tuple[Colour, ...] = (
    (0, 94, 213),
    (178, 114, 0),
    (115, 158, 0),
    (0, 159, 230),
    (167, 121, 204),
    (66, 228, 240),
    (233, 180, 86),
    (60, 60, 60),
)
"""BGR by class, told apart by the colour-blind too (Okabe and Ito); page.css names the same."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Colour = (255, 255, 255)


def annotated(pixels: Pixels, found: Detections, classes: tuple[str, ...]) -> Pixels:
    """A copy of a (H, W, 3) BGR picture, as large as a screen needs it, with what was found."""
    scale = _scale(pixels.shape[1])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.array(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=kind), np.uint8)
    rows = zip(found.boxes * np.float32(scale), found.classes.tolist(), found.scores.tolist(), strict=True)
    for box, label, score in rows:
        left, top, right, bottom = (round(float(side)) for side in box)
        colour = COLOURS[label % len(COLOURS)]
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, 2, cv2.LINE_AA)
        _write(canvas, f"{classes[label]} {score:.2f}", left, top, colour)
    return canvas


def waiting() -> Pixels:
    """What is shown before the first frame."""
    canvas = np.full((360, _NARROWEST, 3), 40, np.uint8)
    cv2.putText(canvas, "waiting for the first frame", (150, 185), _FONT, 0.7, (200, 200, 200), 1, cv2.LINE_AA)
    return canvas


def _scale(width: int) -> float:
    return min(WIDEST / width, max(1.0, _NARROWEST / width))


def _write(canvas: Pixels, text: str, left: int, top: int, colour: Colour) -> None:
    """A label above the box, inside the picture."""
    (width, height), below = cv2.getTextSize(text, _FONT, 0.45, 1)
    x = max(0, min(left - 1, canvas.shape[1] - width - 4))
    y = max(height + below + 2, top)
    cv2.rectangle(canvas, (x, y - height - below - 2), (x + width + 4, y), colour, -1)
    cv2.putText(canvas, text, (x + 2, y - below), _FONT, 0.45, _WHITE, 1, cv2.LINE_AA)
