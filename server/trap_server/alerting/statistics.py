"""Two numbers that rules compare with a limit: how unusual a night is, how far scores have moved; pure."""

import math
from collections.abc import Sequence
from statistics import median

NIGHTS_NEEDED = 14
SCORES_NEEDED = 100
BINS = 10
FLOOR = 1e-4  # share of an empty bin, so that the logarithm exists


def robust_z(value: float, history: Sequence[float], needed: int = NIGHTS_NEEDED) -> float | None:
    """How many robust standard deviations `value` lies above its own history; None with fewer than `needed`.

    0.6745 (x - median) / MAD (Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers). Counts scatter at least
    as Poisson's do, so the MAD is not taken for smaller than 0.6745 times the root of the median, nor of 1.
    """
    if len(history) < needed:
        return None
    middle = median(history)
    deviation = median(abs(one - middle) for one in history)
    least = 0.6745 * math.sqrt(max(middle, 1.0))
    return 0.6745 * (value - middle) / max(deviation, least)


def population_stability(before: Sequence[float], now: Sequence[float], needed: int = SCORES_NEEDED) -> float | None:
    """Population stability index of two samples of scores (0..1) over ten equal bins; None with too few of either.

    sum of (a - e) ln(a / e) over the shares of each bin (Siddiqi 2006, Credit Risk Scorecards): below 0.1 nothing has
    moved, above 0.25 much has.
    """
    if min(len(before), len(now)) < needed:
        return None
    shares = zip(_shares(before), _shares(now), strict=True)
    return sum((actual - expected) * math.log(actual / expected) for expected, actual in shares)


def _shares(scores: Sequence[float]) -> list[float]:
    counts = [0] * BINS
    for score in scores:
        counts[min(int(score * BINS), BINS - 1)] += 1
    return [max(count / len(scores), FLOOR) for count in counts]
