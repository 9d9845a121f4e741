"""Sample pictures for the report: what the network and each INT8 file see in them, side by side."""

import base64
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from trap_contract.detections import Detections
from trap_contract.letterbox import Pixels
from trap_contract.pictures import read_picture

_SIDE = 300
_COLOURS = ((60, 60, 230), (230, 120, 30), (60, 180, 60), (30, 190, 230), (200, 60, 200), (180, 180, 40))


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` positions out of `count`, evenly spaced."""
    return [int(place) for place in np.unique(np.linspace(0, count - 1, min(count, wanted)).round())]


def drawn(picture: Path, versions: list[Detections], classes: tuple[str, ...]) -> Iterator[str]:
    """The picture once for each version, boxes drawn, as data addresses of JPEG."""
    pixels = read_picture(picture)
    scale = _SIDE / max(pixels.shape[:2])
    small = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    for found in versions:
        yield _address(_with_boxes(small.copy(), found, scale, classes))


def _with_boxes(canvas: Pixels, found: Detections, scale: float, classes: tuple[str, ...]) -> Pixels:
    for box, score, name in zip(found.boxes * scale, found.scores, found.classes, strict=True):
        colour = _COLOURS[int(name) % len(_COLOURS)]
        left, top, right, bottom = (round(float(side)) for side in box)
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, 1, cv2.LINE_AA)
        place = (left + 2, max(top - 3, 9))
        text = f"{classes[int(name)]} {score:.2f}"
        cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1, cv2.LINE_AA)
    return canvas


def _address(canvas: Pixels) -> str:
    _, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
