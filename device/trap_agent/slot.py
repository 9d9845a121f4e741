"""The latest-frame slot between capture and analysis."""

import threading
from dataclasses import dataclass

from trap_agent.clock import Moment
from trap_agent.effort import Absence
from trap_agent.sources import Frame


@dataclass(frozen=True, slots=True)
class Taken:
    """What a feed had: perhaps a frame, what time it is now, when frames were replaced, when and why none came."""

    frame: Frame | None
    now: Moment
    dropped: tuple[Moment, ...] = ()
    lost: tuple[Moment, ...] = ()
    absence: Absence = "camera"
    has_ended: bool = False


class LatestFrame:
    """Holds one frame; a newer one replaces it, and putting never waits for taking."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._dropped: list[Moment] = []
        self._lost: list[Moment] = []
        self._failure: BaseException | None = None

    def put(self, frame: Frame) -> None:
        """Offer a frame, dropping the one that was not taken."""
        with self._changed:
            if self._frame is not None:
                self._dropped.append(self._frame.at)
            self._frame = frame
            self._changed.notify()

    def lose(self, at: Moment) -> None:
        """Tell that the source is lost; a frame that waits is kept."""
        with self._changed:
            self._lost.append(at)
            self._changed.notify()

    def fail(self, failure: BaseException) -> None:
        """Make every later `take` raise."""
        with self._changed:
            self._failure = failure
            self._changed.notify()

    def take(self, timeout_s: float) -> tuple[Frame | None, tuple[Moment, ...], tuple[Moment, ...]]:
        """Wait for a frame at most that long; with it, when frames were dropped, and the source lost, since then."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame or self._lost or self._failure, timeout_s)
            if self._failure is not None:
                raise self._failure
            frame, dropped, lost = self._frame, tuple(self._dropped), tuple(self._lost)
            self._frame = None
            self._dropped.clear()
            self._lost.clear()
            return frame, dropped, lost
