"""By what time a trap's schedule goes: a wall clock that something vouches for.

As long as nothing has vouched for it since the agent started, the trap looks always: a wrong clock must not cost
counts. Later on the last trusted reading, carried on by the monotonic clock, is what counts, whatever the wall clock is
set to meanwhile.
"""

from trap_agent.clock import Moment


class TrustedTime:
    """The wall time by the last reading that something vouched for."""

    def __init__(self) -> None:
        self._trusted: Moment | None = None

    def wall_ms(self, now: Moment) -> int | None:
        """The time now, UTC; None while it never was trusted."""
        if now.is_synced:
            self._trusted = now
        return None if self._trusted is None else self._trusted.wall_ms_at(now.mono_s)
