"""A camera that Video4Linux knows, through OpenCV."""

from collections.abc import Generator

from trap_contract.errors import SourceError

from trap_agent.clock import Clock
from trap_agent.sources import Frame
from trap_agent.vision import cv2

_FPS = 10.0


class CameraSource:
    """Frames of /dev/videoN, at most `fps` a second.

    Raises SourceError when the camera is missing or busy. A camera that hangs is given up by OpenCV after 10 s.
    """

    is_live = True

    def __init__(self, index: int, fps: float | None, clock: Clock) -> None:
        self._index = index
        self._clock = clock
        self._capture = self._open()
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        asked = fps or _FPS
        self.interval_s = 1 / (min(asked, rate) if rate > 0 else asked)

    def frames(self) -> Generator[Frame, None, None]:
        """Frames as they come, those above the asked rate left out; the camera is opened again if it was lost."""
        if not self._capture.isOpened():
            self._capture = self._open()
        try:
            yield from self._read()
        finally:
            self._capture.release()

    def _read(self) -> Generator[Frame, None, None]:
        due_s = 0.0
        while self._capture.grab():
            at = self._clock.now()
            if at.mono_s < due_s:
                continue
            due_s = max(due_s + self.interval_s, at.mono_s + self.interval_s / 2)
            is_readable, pixels = self._capture.retrieve()
            yield Frame(pixels if is_readable else None, at)
        raise SourceError(f"camera:{self._index} stopped delivering: check its cable and power")

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self._index, cv2.CAP_V4L2)
        if not capture.isOpened():
            raise SourceError(
                f"camera:{self._index} can't be opened: check that /dev/video{self._index} exists, that no other "
                "program uses it, and that this user may read it"
            )
        return capture
