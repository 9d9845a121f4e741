"""What the preview shows now: the analysis leaves its latest frame here and goes on, viewers draw it when they look."""

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from trap_contract.detections import Detections
from trap_contract.vision import cv2

from trap_agent.counting import named_counts
from trap_agent.preview.drawing import annotated, waiting
from trap_agent.sources import Frame

_QUALITY = 80
_RATE_FRAMES = 20


@dataclass(frozen=True, slots=True)
class About:
    """Whose picture it is, and what looks at it."""

    trap: str
    model: str
    backend: str
    threshold: float
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    number: int
    pixels: NDArray[np.uint8]
    found: Detections
    at_s: float


class Stage:
    """The latest analysed frame; safe to use from several threads."""

    def __init__(self, about: About) -> None:
        self._about = about
        self._changed = threading.Condition()
        self._latest: _Shown | None = None
        self._times_s: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._drawing = threading.Lock()
        self._drawn: tuple[int, bytes] = (-1, b"")

    def show(self, frame: Frame, found: Detections) -> None:
        """Put an analysed frame on the stage; neither draws nor waits."""
        if frame.pixels is None:
            return
        now_s = time.monotonic()
        with self._changed:
            number = self._latest.number + 1 if self._latest else 1
            self._latest = _Shown(number, frame.pixels, found, now_s)
            self._times_s.append(now_s)
            self._changed.notify_all()

    def picture(self, after: int, timeout_s: float) -> tuple[int, bytes]:
        """Number and JPEG of a frame later than `after`, or of the last one where none comes in time; 0: none yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._latest is not None and self._latest.number > after, timeout_s)
            latest = self._latest
        return self._jpeg(latest)

    def status(self) -> dict[str, object]:
        """The words and numbers beside the picture."""
        with self._changed:
            latest, times_s = self._latest, list(self._times_s)
        span_s = times_s[-1] - times_s[0] if len(times_s) > 1 else 0.0
        return {
            "trap": self._about.trap,
            "model": self._about.model,
            "backend": self._about.backend,
            "threshold": self._about.threshold,
            "counts": named_counts(latest.found, self._about.classes) if latest else None,
            "frames": latest.number if latest else 0,
            "per_second": round((len(times_s) - 1) / span_s, 2) if span_s else None,
            "age_s": round(time.monotonic() - latest.at_s, 1) if latest else None,
        }

    def _jpeg(self, latest: _Shown | None) -> tuple[int, bytes]:
        """Drawn once for all who look."""
        number = latest.number if latest else 0
        with self._drawing:
            if self._drawn[0] != number:
                pixels = annotated(latest.pixels, latest.found, self._about.classes) if latest else waiting()
                _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
                self._drawn = (number, data.tobytes())
            return self._drawn
