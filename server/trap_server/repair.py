"""When a window really began, although a board without a battery boots in the past; pure.

The raw clocks are kept. A trusted wall clock is taken at its word. Else the monotonic clock, which steps never touch,
leads to the nearest trusted reading of the same kernel boot, earlier or later. Without one the window lies between
its raw wall clock (a clock that was never set is behind, not ahead) and its receipt.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

TRUSTED_ERROR_MS = 1000  # how far a clock that calls itself synchronised is allowed to be off
DRIFT_PPM = 500  # the fastest that the kernel lets its clocks run apart
ROUNDING_MS = 2

Method = Literal["trusted", "anchored", "bounded"]
Pair = tuple[int, int]
"""A monotonic and a trusted wall clock at one moment, ms."""


class Reading(NamedTuple):
    """The clocks of one window: at its start, and the collector's at its receipt; ms."""

    mono_ms: int
    wall_ms: int
    duration_ms: int
    synced: bool
    received_at_ms: int
    backlog: bool = False


class Start(NamedTuple):
    """The repaired start; |true start - start_ms| <= error_ms, None where no bound is known."""

    start_ms: int
    method: Method
    error_ms: int | None


def trusted(wall_ms: int) -> Start:
    """The start that a synchronised clock tells."""
    return Start(wall_ms, "trusted", TRUSTED_ERROR_MS)


@dataclass(frozen=True, slots=True)
class KernelBoot:
    """What the windows of one kernel boot tell of its clock, in whatever order they come.

    `latest_ms` and `earliest_ms` bound wall - mono; `live` says that one came straight after it was counted;
    `unsynced` that there are windows to repair.
    """

    first: Pair | None = None
    last: Pair | None = None
    latest_ms: int | None = None
    earliest_ms: int | None = None
    live: bool = False
    unsynced: bool = False

    def after(self, readings: Iterable[Reading]) -> "KernelBoot":
        """With these readings taken in."""
        first, last, known = self.first, self.last, self
        for reading in readings:
            if reading.synced:
                pair = (reading.mono_ms, reading.wall_ms)
                first, last = min(first or pair, pair), max(last or pair, pair)
            else:
                known = known._bounded_by(reading)
        return known if (first, last) == (self.first, self.last) else replace(known, first=first, last=last)

    def _bounded_by(self, reading: Reading) -> "KernelBoot":
        latest_ms = reading.received_at_ms - reading.duration_ms - reading.mono_ms
        earliest_ms = reading.wall_ms - reading.mono_ms
        return replace(
            self,
            latest_ms=latest_ms if self.latest_ms is None else min(self.latest_ms, latest_ms),
            earliest_ms=earliest_ms if self.earliest_ms is None else max(self.earliest_ms, earliest_ms),
            live=self.live or not reading.backlog,
            unsynced=True,
        )

    def start(self, mono_ms: int, wall_ms: int, *, synced: bool) -> Start:
        """The repaired start of one window of this boot."""
        if synced:
            return trusted(wall_ms)
        if self.first is None or self.last is None:
            return self._bounded(mono_ms, wall_ms)
        anchor_mono_ms, anchor_wall_ms = min(self.first, self.last, key=lambda pair: abs(mono_ms - pair[0]))
        way_ms = mono_ms - anchor_mono_ms
        error_ms = TRUSTED_ERROR_MS + ROUNDING_MS + abs(way_ms) * DRIFT_PPM // 1_000_000
        return Start(max(0, anchor_wall_ms + way_ms), "anchored", error_ms)

    def _bounded(self, mono_ms: int, wall_ms: int) -> Start:
        if self.latest_ms is None or self.earliest_ms is None:
            return Start(wall_ms, "bounded", None)
        if self.earliest_ms > self.latest_ms:  # the clock is ahead of the receipt: it bounds nothing
            return Start(max(0, self.latest_ms + mono_ms), "bounded", None)
        guess_ms = self.latest_ms if self.live else self.earliest_ms
        return Start(max(0, guess_ms + mono_ms), "bounded", self.latest_ms - self.earliest_ms)
