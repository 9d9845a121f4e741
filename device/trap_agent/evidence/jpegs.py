"""What of a frame a person needs to see, as a JPEG."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from trap_contract.messages import JPEG_LIMIT
from trap_contract.vision import cv2

Area = tuple[int, int, int, int]
"""Left, top, right, bottom in px of the frame."""

CROP_PX: Final = 320
SNAPSHOT_PX: Final = 1280

_AROUND: Final = 1.8  # sides of the box: legs and wings reach out of it, and neighbours explain
_LEAST_PX: Final = 64
_QUALITIES: Final = (85, 70, 50, 30, 10)


def area_around(box: NDArray[np.float32], width: int, height: int) -> Area:
    """A square about a box (4,), within a frame of this size."""
    wanted = max(_LEAST_PX, round(_AROUND * float(max(box[2] - box[0], box[3] - box[1]))))
    sides = min(wanted, width), min(wanted, height)
    middle = (box[:2] + box[2:]) / 2
    left, top = (
        int(np.clip(round(float(centre) - side / 2), 0, length - side))
        for centre, side, length in zip(middle, sides, (width, height), strict=True)
    )
    return left, top, left + sides[0], top + sides[1]


def encoded(pixels: NDArray[np.uint8], most_px: int) -> bytes:
    """A BGR picture (H, W, 3) as JPEG, its longer side at most that long, small enough for a message."""
    scale = most_px / max(pixels.shape[:2])
    if scale < 1:
        pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    for quality in _QUALITIES:
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= JPEG_LIMIT:
            return data
    return encoded(pixels, max(pixels.shape[:2]) // 2)
