"""A video file, every frame of it."""

from collections.abc import Generator
from pathlib import Path

from trap_contract.errors import SourceError
from trap_contract.vision import cv2

from trap_agent.clock import Clock
from trap_agent.sources import Frame, Pace

_FPS = 25.0
"""Assumed of a file that does not say."""


class VideoSource:
    """Replays a file in its own time, which begins with the first frame, thinned to about `fps`.

    Raises SourceError for a file that is no video.
    """

    pace: Pace = "replay"

    def __init__(self, path: Path, fps: float | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not (self._capture.isOpened() and self._capture.grab()):
            raise SourceError(f"{path}: not a video that can be read, or damaged")
        rate = self._capture.get(cv2.CAP_PROP_FPS) or _FPS
        self._step = max(1, round(rate / fps)) if fps else 1
        self.interval_s = self._step / rate

    def frames(self) -> Generator[Frame, None, None]:
        """Every frame, or every n-th where a lower rate was asked for."""
        begun = self._clock.now()
        index, is_there = 0, True
        while is_there:
            if index % self._step == 0:
                is_readable, pixels = self._capture.retrieve()
                at = begun.later(index / self._step * self.interval_s)
                yield Frame(pixels if is_readable else None, at, f"{self._path.name}#{index}")
            index, is_there = index + 1, self._capture.grab()
        self._capture.release()
