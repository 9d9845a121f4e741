"""How far one way of training is above another, with an interval: a paired bootstrap over seeds and test pictures.

A resample weighs each picture by how often it was drawn, so boxes are ranked once. Ultralytics' 101-point average
precision of pictures repeated so often follows from the right boxes alone: between two of them precision only falls,
and of a repeated box the last copy is the most precise.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from trap_contract.errors import DataError

from trap_training.studies.scoring import Scores

Metric = Literal["map50", "map50_95"]
_RECALLS = np.linspace(0, 1, 101)
_AREA_BELOW = np.concatenate([[0, 0.005], np.full(99, 0.01), [0.005]]).cumsum()
"""What the first 0, 1 ... 101 recalls weigh in the trapezoidal rule."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean over seeds of `a` minus that of `b`, and its 95 % percentile interval."""

    delta: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def compare(a: list[Scores], b: list[Scores], metric: Metric, resamples: int, rng: np.random.Generator) -> Comparison:
    """How far the networks of `a`, one a seed, are above those of `b` on the same pictures.

    Each resample draws pictures with replacement, the same for both arms, and seeds of each arm with replacement.
    Raises DataError when an arm has no network, or two networks were scored on different pictures or truths.
    """
    if not a or not b:
        raise DataError("an arm has no network that was scored: run its seeds first")
    _check_same_pictures([*a, *b])
    arms = [[RankedScores.of(scores, metric) for scores in arm] for arm in (a, b)]
    count = len(a[0].pictures)
    once = np.ones(count, np.int64)
    first, second = (float(np.mean([ranked.precision(once) for ranked in arm])) for arm in arms)
    deltas = np.empty(resamples)
    for place in range(resamples):
        draws = np.bincount(rng.integers(count, size=count), minlength=count)
        upper, lower = (_mean_of_drawn(arm, draws, rng) for arm in arms)
        deltas[place] = upper - lower
    low, high = np.percentile(deltas, [2.5, 97.5])
    return Comparison(first - second, float(low), float(high))


@dataclass(frozen=True, slots=True)
class RankedClass:
    """The n boxes found of one class, best first, of which U are right at some IoU threshold.

    found_in: (n,), picture of each box. right: (U,), places of the right ones. hits: (U, thresholds). truths: (P,),
    insects of this class in each picture.
    """

    found_in: NDArray[np.int64]
    right: NDArray[np.int64]
    hits: NDArray[np.bool_]
    truths: NDArray[np.int64]

    def precision(self, draws: NDArray[np.int64]) -> float | None:
        """Average precision with picture p taken draws[p] times, a mean over thresholds; None without any insect."""
        truths = int(draws @ self.truths)
        if truths == 0:
            return None
        drawn = draws[self.found_in]
        found = np.maximum(drawn.cumsum()[self.right, None], 1)
        right = (drawn[self.right, None] * self.hits).cumsum(axis=0)
        envelope = np.maximum.accumulate((right / found)[::-1])[::-1]
        area = _AREA_BELOW[np.searchsorted(_RECALLS, np.arange(truths + 1) / truths)]
        widths = np.diff(area[right], axis=0, prepend=0)
        return float((envelope * widths).sum() / self.hits.shape[1])


@dataclass(frozen=True, slots=True)
class RankedScores:
    """A network's boxes, ranked class by class for one metric."""

    classes: tuple[RankedClass, ...]

    @classmethod
    def of(cls, scores: Scores, metric: Metric) -> Self:
        """Rank the boxes as Ultralytics' ap_per_class does."""
        order = np.argsort(-scores.confidences)
        found, found_in = scores.found[order], scores.found_in[order]
        hits = scores.hits[order, : 1 if metric == "map50" else None]
        count = len(scores.pictures)
        classes = []
        for name in np.unique(scores.truth):
            is_found, is_true = found == name, scores.truth == name
            right = np.flatnonzero(hits[is_found].any(axis=1))
            truths = np.bincount(scores.truth_in[is_true], minlength=count)
            classes.append(RankedClass(found_in[is_found], right, hits[is_found][right], truths))
        return cls(tuple(classes))

    def precision(self, draws: NDArray[np.int64]) -> float:
        """Mean average precision with picture p taken draws[p] times, over classes that have an insect then."""
        values = [value for one in self.classes if (value := one.precision(draws)) is not None]
        return float(np.mean(values)) if values else 0.0


def _mean_of_drawn(arm: list[RankedScores], draws: NDArray[np.int64], rng: np.random.Generator) -> float:
    seeds = np.bincount(rng.integers(len(arm), size=len(arm)), minlength=len(arm))
    return sum(int(seeds[place]) * arm[place].precision(draws) for place in np.flatnonzero(seeds)) / len(arm)


def _check_same_pictures(networks: list[Scores]) -> None:
    first = networks[0]
    for other in networks[1:]:
        if other.names != first.names or other.pictures != first.pictures:
            raise DataError(f"{len(other.pictures)} and {len(first.pictures)} pictures: not scored on the same ones")
        if not (np.array_equal(other.truth, first.truth) and np.array_equal(other.truth_in, first.truth_in)):
            raise DataError("the same pictures, but with other labels: score both networks on one data set")
