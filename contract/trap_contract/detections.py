"""The one currency of the detector's output."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Detections:
    """N boxes of one picture: boxes (N, 4) as x0, y0, x1, y1 in px; scores (N,) in 0..1; classes (N,) indices."""

    boxes: FloatArray
    scores: FloatArray
    classes: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.scores), 4) or self.classes.shape != self.scores.shape:
            raise ValueError(f"shapes differ: {self.boxes.shape}, {self.scores.shape}, {self.classes.shape}")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Self:
        """No boxes."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    @classmethod
    def joined(cls, parts: list["Detections"]) -> Self:
        """All boxes of several parts, in order."""
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return cls(parts[0].boxes, parts[0].scores, parts[0].classes)
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.classes for part in parts]),
        )

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_] | slice) -> "Detections":
        """The boxes at these positions."""
        return Detections(self.boxes[index], self.scores[index], self.classes[index])

    def counts(self, class_count: int) -> NDArray[np.int64]:
        """How many of each class, shape (class_count,)."""
        return np.bincount(self.classes, minlength=class_count)
