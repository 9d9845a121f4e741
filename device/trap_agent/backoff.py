"""Waiting longer after each failure, never in step with other traps."""

import numpy as np

_MOST_DOUBLINGS = 30


def doubled(attempt: int, base_s: float, cap_s: float) -> float:
    """`base_s`, twice that, four times, ... for attempt 0, 1, 2, ..., at most `cap_s`."""
    return min(cap_s, base_s * float(2 ** min(attempt, _MOST_DOUBLINGS)))


def full_jitter(attempt: int, base_s: float, cap_s: float, rng: np.random.Generator) -> float:
    """A wait drawn evenly from 0 to the doubled one: a fleet that lost its broker does not come back at once."""
    return float(rng.uniform(0, doubled(attempt, base_s, cap_s)))
