"""Fit a picture into the model's input without changing its aspect, and map boxes back.

Geometry as in Ultralytics' LetterBox (centred, bilinear), so that a model sees on the trap what it saw in training.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trap_contract.detections import FloatArray

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies inside the input: input px = picture px * scale + offset."""

    scale: float
    left: int
    top: int
    width: int
    height: int

    def undo(self, boxes: FloatArray) -> FloatArray:
        """Boxes (N, 4) in input px to boxes in picture px, clipped to the picture."""
        offset = np.array([self.left, self.top, self.left, self.top], np.float32)
        limit = np.array([self.width, self.height, self.width, self.height], np.float32)
        moved: FloatArray = np.minimum(np.maximum((boxes - offset) / np.float32(self.scale), 0), limit)
        return moved


def letterbox(picture: Pixels, width: int, height: int, fill: int = 114) -> tuple[Pixels, Placement]:
    """Place a (H, W, 3) picture into (height, width, 3), padded with `fill`."""
    source_height, source_width = picture.shape[:2]
    scale = min(height / source_height, width / source_width)
    inner_width, inner_height = (max(1, round(side * scale)) for side in (source_width, source_height))
    left, top = round((width - inner_width) / 2 - 0.1), round((height - inner_height) / 2 - 0.1)
    placement = Placement(scale, left, top, source_width, source_height)
    if (inner_width, inner_height) != (source_width, source_height):
        picture = np.asarray(cv2.resize(picture, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR), np.uint8)
    if (inner_width, inner_height) == (width, height):
        return picture, placement
    canvas = np.full((height, width, 3), fill, np.uint8)
    canvas[top : top + inner_height, left : left + inner_width] = picture
    return canvas, placement
