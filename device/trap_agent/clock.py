"""Time as the trap knows it: a monotonic clock, a wall clock, and whether the wall clock is to be believed."""

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trap_contract import messages

_TIME_ERROR = 5
_TIMEX_BYTES = 512
"""More than any platform's struct timex; all zero means: read, change nothing."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of all clocks: seconds since the kernel started, UTC milliseconds, and whether UTC is disciplined."""

    mono_s: float
    wall_ms: int
    is_synced: bool

    def later(self, seconds: float) -> "Moment":
        """The moment that many seconds after this one, if the wall clock is not stepped."""
        return Moment(self.mono_s + seconds, self.wall_ms + round(seconds * 1000), self.is_synced)

    def wall_ms_at(self, mono_s: float) -> int:
        """What this reading's wall clock says of another monotonic time; never below 0."""
        return max(0, self.wall_ms + round((mono_s - self.mono_s) * 1000))

    def clock(self) -> "messages.Clock":
        """The message's form. The kernel knows that it is disciplined, not by what: chrony with GNSS says ntp too."""
        from trap_contract import messages  # here, for a capture process has no messages to pay for

        return messages.Clock(synced=self.is_synced, source="ntp" if self.is_synced else "none")


class Clock(Protocol):
    """Where moments come from."""

    def now(self) -> Moment: ...


class SystemClock:
    """The kernel's clocks; the monotonic one goes on while the board sleeps."""

    def __init__(self) -> None:
        self._adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)

    def now(self) -> Moment:
        mono_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        return Moment(mono_s, time.time_ns() // 1_000_000, self._is_synced())

    def _is_synced(self) -> bool:
        """Ask the kernel (adjtimex(2)), which every time daemon informs; unknown counts as not synced."""
        if self._adjtimex is None:
            return False
        state: int = self._adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        return 0 <= state < _TIME_ERROR


def kernel_boot_id() -> str:
    """The id of this start of the kernel, the domain in which monotonic times compare; empty where unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
