"""How long to wait before trying again: longer after each failure, never in step with others."""

from dataclasses import dataclass, field
from typing import Protocol

STEADY_S = 60.0
"""What held this long was no failure: two clients of one name that throw each other out never race."""

_MOST_DOUBLINGS = 30


class Uniform(Protocol):
    """A source of chance: `random.Random`, or numpy's `Generator`."""

    def uniform(self, low: float, high: float, /) -> float:
        """A number drawn evenly from `low` to `high`."""
        ...


@dataclass(slots=True)
class Backoff:
    """Full jitter: each wait is drawn evenly below a bound that doubles from `base_s` to `cap_s`."""

    base_s: float
    cap_s: float
    rng: Uniform
    _failures: int = field(default=0, init=False)

    def wait_s(self, lived_s: float = 0.0) -> float:
        """Seconds to wait after an attempt that held for `lived_s`; one that held a minute starts the series anew."""
        self._failures = 0 if lived_s >= STEADY_S else self._failures
        bound_s = doubled(self._failures, self.base_s, self.cap_s)
        self._failures += 1
        return self.rng.uniform(0, bound_s)

    def reset(self) -> None:
        """The next wait is a first one."""
        self._failures = 0


def doubled(attempt: int, base_s: float, cap_s: float) -> float:
    """`base_s`, twice that, four times, ... for attempt 0, 1, 2, ..., at most `cap_s`."""
    return min(cap_s, base_s * float(2 ** min(attempt, _MOST_DOUBLINGS)))
