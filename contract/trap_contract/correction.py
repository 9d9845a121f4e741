"""How many there truly were, from what was counted and what the model is known to confuse, overlook and invent.

The matrix method of quantification (Rogan and Gladen 1978; with several classes Forman 2008), solved as an unfolding
with Bayes' theorem (D'Agostini 1995) by data augmentation (Tanner and Wong 1987): each count is shared among the true
classes and nothing, the true numbers follow from the shares, and both are drawn in turn. The confusion matrix was
measured on a finite number of insects, so it is drawn too, from a Dirichlet distribution for each true class.

The interval knows the chance in the count and in the matrix. It does not know that the pictures of a trap may differ
from those the matrix was measured on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from trap_contract.errors import BundleError
from trap_contract.manifest import Manifest
from trap_contract.messages import Corrected

LEAST_INSTANCES = 30
"""Validation insects that a class must have had."""

LEAST_APART = 0.25
"""Total variation between what the model makes of two classes; where it makes nearly the same of both, no arithmetic
tells them apart again."""

_COVERAGE = 0.95
_CHAINS = 400
_ROUNDS = 60
_VAGUE = 0.5  # Jeffreys' prior, of every cell of the matrix, every number and every rate

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Correction:
    """`confusion` (C + 1, C + 1): rows truth, columns predicted, background last, measured on so many `pictures`."""

    confusion: Whole
    pictures: int

    @classmethod
    def of(cls, manifest: Manifest) -> "Correction":
        """From what a bundle says about itself.

        Raises BundleError, saying why, where it says too little.
        """
        name, metrics, classes = manifest.id, manifest.metrics, manifest.classes
        if metrics is None or not metrics.confusion or not metrics.pictures:
            raise BundleError(f"{name}: no confusion matrix in its manifest: build it with trap-export")
        matrix = np.array(metrics.confusion, np.int64)
        if matrix.shape != (len(classes) + 1,) * 2:
            raise BundleError(f"{name}: its confusion matrix is {matrix.shape}, its classes are {len(classes)}")
        for label, instances in zip(classes, matrix[:-1].sum(axis=1).tolist(), strict=True):
            if instances < LEAST_INSTANCES:
                raise BundleError(
                    f"{name}: its matrix has {instances} of class {label!r}, fewer than {LEAST_INSTANCES}: "
                    "export it with more validation pictures"
                )
        for one, other in combinations(range(len(classes)), 2):
            if _distance(matrix[one], matrix[other]) < LEAST_APART:
                raise BundleError(
                    f"{name}: it makes nearly the same of {classes[one]!r} and {classes[other]!r}: train it until it "
                    "tells them apart"
                )
        return cls(matrix, metrics.pictures)

    def correct(self, counts: Sequence[int], looks: int, rng: np.random.Generator) -> list[Corrected]:
        """The true number of each class (C,) behind the counts of one frame that the model saw in `looks` pictures."""
        return [_summary(numbers) for numbers in self.draws(counts, looks, rng).T]

    def draws(self, counts: Sequence[int], looks: int, rng: np.random.Generator) -> Whole:
        """Possible true numbers, shape (draws, C)."""
        chances = np.stack([rng.dirichlet(row + _VAGUE, _CHAINS) for row in self.confusion[:-1]], axis=1)
        found, missed = chances[..., :-1], chances[..., -1]
        invented = rng.gamma(self.confusion[-1, :-1] + _VAGUE, looks / self.pictures, (_CHAINS, len(counts)))
        observed = np.broadcast_to(np.asarray(counts, np.int64), invented.shape)
        rates = rng.gamma(_VAGUE + np.mean(counts), 1.0, invented.shape)
        for _ in range(_ROUNDS):
            shares = _shares(observed, rates[..., None] * found, invented, rng)
            rates = rng.gamma(shares + _VAGUE, 1 / (1 - missed))
        overlooked: Whole = rng.poisson(rates * missed)
        return shares + overlooked


def _distance(one: Whole, other: Whole) -> float:
    """Total variation between two rows."""
    return float(np.abs(one / one.sum() - other / other.sum()).sum()) / 2


def _shares(observed: Whole, sources: Floats, invented: Floats, rng: np.random.Generator) -> Whole:
    """How many of all that was observed (N, C) each true class (N, C) is behind; sources are (N, truth, observed)."""
    weights = np.concatenate([sources, invented[:, None]], axis=1).transpose(0, 2, 1)
    shares = rng.multinomial(observed, weights / weights.sum(axis=-1, keepdims=True))
    total: Whole = shares[..., :-1].sum(axis=1)
    return total


def _summary(numbers: Whole) -> Corrected:
    """The mean, and the shortest interval that holds 95 % of the draws: where zero is likely, it begins at zero."""
    ordered = np.sort(numbers)
    inside = int(np.ceil(_COVERAGE * len(ordered)))
    widths = ordered[inside - 1 :] - ordered[: len(ordered) - inside + 1]
    begin = int(np.argmin(widths))
    low, high = float(ordered[begin]), float(ordered[begin + inside - 1])
    return Corrected(estimate=round(float(numbers.mean()), 2), low=low, high=high)
