"""Share of females among the caught that have a sex, with its interval; pure."""

import math
from dataclasses import dataclass

Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class SexRatio:
    """Of individuals caught: shares are None where none has a sex.

    `low` and `high` bound the share with 95 % confidence if individuals come independently of each other; catches
    that come in swarms spread wider.
    """

    females: int
    males: int
    share: float | None
    low: float | None
    high: float | None


def sex_ratio(females: int, males: int) -> SexRatio:
    """The share of females and its interval."""
    if females + males == 0:
        return SexRatio(females, males, None, None, None)
    low, high = wilson(females, females + males)
    return SexRatio(females, males, females / (females + males), low, high)


def wilson(hits: int, of: int, z: float = Z_95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212), 0..1; `of` is above 0.

    It holds its level also near 0 and 1 and for few individuals (Brown, Cai and DasGupta 2001, Stat. Sci. 16, 101-133).
    """
    share = hits / of
    middle = share + z * z / (2 * of)
    reach = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    whole = 1 + z * z / of
    return max(0.0, (middle - reach) / whole), min(1.0, (middle + reach) / whole)
