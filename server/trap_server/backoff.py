"""How long to wait before trying again: full jitter, so that a fleet does not knock in step."""

import random
from dataclasses import dataclass, field

STEADY_S = 60.0


@dataclass(slots=True)
class Backoff:
    """Doubling bound from `base_s` to `cap_s`; each wait is drawn uniformly below the bound."""

    base_s: float
    cap_s: float
    rng: random.Random
    _failures: int = field(default=0, init=False)

    def wait_s(self, lived_s: float) -> float:
        """Seconds to wait after an attempt that held for `lived_s`; one that held a minute starts the series anew."""
        self._failures = 0 if lived_s >= STEADY_S else self._failures
        bound = min(self.cap_s, self.base_s * 2 ** min(self._failures, 30))
        self._failures += 1
        return self.rng.uniform(0, bound)

    def reset(self) -> None:
        """The next wait is a first one."""
        self._failures = 0
