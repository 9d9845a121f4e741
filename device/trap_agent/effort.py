"""Where the seconds of a window went: observed, or a gap with its reason."""

from collections import defaultdict
from typing import Literal

from trap_contract.messages import Gap, GapReason

FrameFate = Literal["observed", "unreadable", "dark", "overload"]
Absence = Literal["no_frame", "camera", "schedule"]
"""Why a frame is missing: it came late or not at all, the source had told that it was lost, or the trap sleeps."""

_MISSING_FROM = 1.5
"""Frame intervals between two frames from which on at least one is missing between them."""


class Timeline:
    """Splits a window, without remainder, into observed seconds and gaps.

    A frame stands for the time since the frame before it, or since the window began; when a frame is missing between
    them, for one frame interval only, and the rest is `no_frame`. The time from the last frame to the window's end goes
    by the same rule to that last frame. Where the source reported its loss, `camera` stands for `no_frame`. Only
    analysed frames observe: one that is unreadable or dark, or was pushed out by a newer one, makes a gap of its time.
    """

    def __init__(self, start_s: float, end_s: float, interval_s: float, begun_s: float, absence: Absence) -> None:
        self._end_s = end_s
        self._interval_s = interval_s
        self._reached_s = min(max(begun_s, start_s), end_s)
        self.absence: Absence = absence
        self._last: FrameFate | Absence = absence
        self._seconds: dict[str, float] = defaultdict(float)
        self._seconds["start"] = self._reached_s - start_s

    def frame(self, at_s: float, fate: FrameFate) -> None:
        """Account for a frame taken at `at_s`."""
        self._cover(at_s, fate)
        self._last, self.absence = fate, "no_frame"

    def lost(self, at_s: float, absence: Absence = "camera") -> None:
        """Account for the report that no frames come, which holds until the next; a camera was lost before it told."""
        is_camera = absence == "camera"
        self.absence = absence if is_camera else self.absence
        self._cover(at_s, absence if is_camera and self._last == "no_frame" else self._last)
        self._last = self.absence = absence

    def close(self, at_s: float) -> tuple[float, tuple[Gap, ...]]:
        """Observed seconds and the gaps, the window being left at `at_s`; what remains of it is the gap `stop`."""
        self._cover(at_s, self._last)
        self._seconds["stop"] += self._end_s - self._reached_s
        observed_s = round(self._seconds.pop("observed", 0.0), 3)
        return observed_s, tuple(_gaps(self._seconds))

    def _cover(self, until_s: float, kind: str) -> None:
        until_s = min(max(until_s, self._reached_s), self._end_s)
        stretch_s = until_s - self._reached_s
        own_s = stretch_s if stretch_s < _MISSING_FROM * self._interval_s else self._interval_s
        self._seconds[kind] += own_s
        self._seconds[self.absence] += stretch_s - own_s
        self._reached_s = until_s


_REASONS: tuple[GapReason, ...] = ("start", "schedule", "camera", "no_frame", "unreadable", "dark", "overload", "stop")


def _gaps(seconds: dict[str, float]) -> list[Gap]:
    rounded = {reason: round(seconds.get(reason, 0.0), 3) for reason in _REASONS}
    return [Gap(reason=reason, seconds=length) for reason, length in rounded.items() if length > 0]
