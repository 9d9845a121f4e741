"""Whether traps stay well with a new model: their windows after it against those before, and against other traps. Pure.

What all traps share (the hour, the weather, the season) moves those without the new model too: their change, the
control, is taken off (a difference in differences).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from trap_server.alerting.statistics import population_stability
from trap_server.rollouts.plan import Gate

Verdict = Literal["unknown", "good", "bad"]
_PSEUDO = 0.5  # added to means, so that an empty board has a logarithm
_HALVINGS = 10  # bins of the distribution: 0, 1, 2 to 3, 4 to 7, ...


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some of a trap's windows: how long they are, how much of that was observed, and the insects in each, summed."""

    duration_s: float = 0.0
    observed_s: float = 0.0
    counts: tuple[int, ...] = ()
    windows: int = 0
    celsius: tuple[float, ...] = ()

    @property
    def coverage(self) -> float | None:
        """Share that was observed."""
        return self.observed_s / self.duration_s if self.duration_s else None


def change(before: Stretch, after: Stretch) -> float | None:
    """Binary logarithm of how many times the mean count has grown; None where one side counted nothing."""
    if not before.counts or not after.counts:
        return None
    return math.log2(_mean(after.counts) + _PSEUDO) - math.log2(_mean(before.counts) + _PSEUDO)


def control_of(changes: Sequence[float | None]) -> float:
    """What traps without the new model went through meanwhile; nothing where nobody can tell."""
    known = [one for one in changes if one is not None]
    return median(known) if known else 0.0


def judge(before: Stretch, after: Stretch, control: float, gate: Gate, *, is_soaked: bool) -> tuple[Verdict, str]:
    """What one trap's windows say: bad as soon as it is certain, good only when it was watched long enough."""
    hot = _heat(before, after, gate)
    if hot:
        return "bad", hot
    if after.windows < gate.windows:
        return "unknown", f"{after.windows} of {gate.windows} windows"
    if before.coverage is not None and after.coverage is not None:
        lost = before.coverage - after.coverage
        if lost > gate.coverage_drop:
            return "bad", f"coverage fell from {before.coverage:.0%} to {after.coverage:.0%}"
    moved = change(before, after)
    if moved is not None and abs(moved - control) > math.log2(gate.shift):
        usual = f", elsewhere x{2**control:.2f}" if control else ""
        return "bad", f"mean count {_mean(before.counts):.2f} -> {_mean(after.counts):.2f} (x{2**moved:.2f}{usual})"
    return ("good", "as before") if is_soaked else ("unknown", "being watched")


def ring_moved(
    before: Sequence[int], after: Sequence[int], control: tuple[Sequence[int], Sequence[int]], gate: Gate
) -> str | None:
    """Whether the counts of a ring have another distribution than before, more than those of other traps have."""
    index = population_stability(_bins(before), _bins(after))
    usual = population_stability(_bins(control[0]), _bins(control[1])) or 0.0
    if index is None or index <= gate.distribution + usual:
        return None
    return f"the distribution of counts has moved: population stability index {index:.2f}, elsewhere {usual:.2f}"


def _heat(before: Stretch, after: Stretch, gate: Gate) -> str | None:
    if not after.celsius:
        return None
    now = median(after.celsius)
    rise = now - median(before.celsius) if before.celsius else 0.0
    if now > gate.celsius or rise > gate.celsius_rise:
        return f"the processor has {now:.0f} degrees Celsius, {rise:+.0f}"
    return None


def _mean(counts: Sequence[int]) -> float:
    return sum(counts) / len(counts)


def _bins(counts: Sequence[int]) -> list[float]:
    return [min(count.bit_length(), _HALVINGS - 1) / _HALVINGS + 0.01 for count in counts]
