"""What a model takes for what in the field, and counts corrected by it; pure.

Labels of a random sample of what was counted tell, of each class that the model said, what it truly was. Crops that the
trap sent because it was uncertain teach a model, but are no random sample, and never enter here.

Of `n` insects counted as one class, the number that truly are of another has a Dirichlet-multinomial distribution with
Jeffreys' prior (Gelman et al., Bayesian Data Analysis, 3rd ed., 3.4); its mean and variance are exact, the interval is
the normal one, cut off at zero. What the model overlooked is on no crop: it is not corrected.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LEAST_LABELS = 30
"""Of each class that was counted, before its counts are corrected; as in the confusion matrix of a bundle."""

_VAGUE = 0.5
_Z = 1.959964

Interval = tuple[float, float, float]
"""Estimate, lower and upper 95 % bound."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One labelled crop; `label` is None for what is no insect."""

    predicted: str
    label: str | None


@dataclass(frozen=True, slots=True)
class FieldError:
    """`matrix` by predicted class: how many were labelled as what; None is no insect."""

    matrix: Mapping[str, Mapping[str | None, int]]

    @classmethod
    def of(cls, seen: Iterable[Seen]) -> "FieldError":
        """Counted from labels."""
        matrix: dict[str, Counter[str | None]] = {}
        for one in seen:
            matrix.setdefault(one.predicted, Counter())[one.label] += 1
        return cls(matrix)

    @property
    def classes(self) -> list[str]:
        """Every class that was said by the model or by a person."""
        labels = {label for row in self.matrix.values() for label in row if label is not None}
        return sorted(labels | self.matrix.keys())

    def labels_of(self, predicted: str) -> int:
        """How many crops of a predicted class were labelled."""
        return sum(self.matrix.get(predicted, {}).values())

    def correct(self, counts: Mapping[str, int]) -> dict[str, Interval] | None:
        """True numbers behind counts; None when a class that was counted has fewer than 30 labels."""
        if any(count and self.labels_of(name) < LEAST_LABELS for name, count in counts.items()):
            return None
        means = dict.fromkeys([*counts, *self.classes], 0.0)
        variances = dict(means)
        for predicted, count in counts.items():
            for label, mean, variance in self._shares(predicted, count):
                means[label] += mean
                variances[label] += variance
        return {name: _interval(means[name], variances[name]) for name in sorted(means)}

    def _shares(self, predicted: str, count: int) -> Iterable[tuple[str, float, float]]:
        """Mean and variance of each true class among `count` insects of a predicted one."""
        row = self.matrix.get(predicted, {})
        outcomes: list[str | None] = [*self.classes, None]
        total = sum(row.values()) + _VAGUE * len(outcomes)
        for label in outcomes:
            if label is None or not count:
                continue
            share = (row.get(label, 0) + _VAGUE) / total
            yield label, count * share, count * share * (1 - share) * (total + count) / (total + 1)


def _interval(mean: float, variance: float) -> Interval:
    half = _Z * math.sqrt(variance)
    return round(mean, 2), round(max(0.0, mean - half), 2), round(mean + half, 2)
