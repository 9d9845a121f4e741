"""How far a file finds what the network finds: the same insects, with the same scores, in the same place."""

from dataclasses import dataclass

import numpy as np
from trap_contract.suppression import iou_matrix

from trap_export.evaluation import Scored, on_trap


@dataclass(frozen=True, slots=True)
class Agreement:
    """Pairs of boxes as (score of the network, score of the file, overlap); boxes only one of them has."""

    pairs: tuple[tuple[float, float, float], ...]
    lost: int
    new: int

    @property
    def mean_overlap(self) -> float:
        """Mean intersection over union of the pairs; 0 without any."""
        return float(np.mean([pair[2] for pair in self.pairs])) if self.pairs else 0.0

    @property
    def mean_score_change(self) -> float:
        """Mean absolute difference of the scores of a pair; 0 without any."""
        return float(np.mean([abs(pair[0] - pair[1]) for pair in self.pairs])) if self.pairs else 0.0

    def overlap_histogram(self) -> list[float]:
        """Shares of the pairs in ten equal bins of overlap from 0.5 to 1."""
        counts, _ = np.histogram([min(pair[2], 1.0) for pair in self.pairs], bins=10, range=(0.5, 1))
        return [float(count) / max(len(self.pairs), 1) for count in counts]


def agree(network: list[Scored], file: list[Scored], threshold: float, iou: float) -> Agreement:
    """Compare what the trap would report from each, picture by picture; a pair overlaps by half and has one class."""
    pairs: list[tuple[float, float, float]] = []
    lost = new = 0
    for ours, theirs in zip(network, file, strict=True):
        a, b = (on_trap(one.found, threshold, iou) for one in (ours, theirs))
        overlap = iou_matrix(a.boxes, b.boxes) * (a.classes[:, None] == b.classes[None, :])
        found = 0
        while overlap.size and overlap.max() >= 0.5:
            row, column = np.unravel_index(overlap.argmax(), overlap.shape)
            pairs.append((float(a.scores[row]), float(b.scores[column]), float(overlap[row, column])))
            overlap[row], overlap[:, column] = 0, 0
            found += 1
        lost, new = lost + len(a) - found, new + len(b) - found
    return Agreement(tuple(pairs), lost, new)
