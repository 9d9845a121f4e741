"""Arrivals, counted window by window."""

import numpy as np
from trap_contract.detections import Detections

from trap_agent.counters import Difference
from trap_agent.tracking import Track, Tracker


class ArrivalCounter:
    """Counts an arrival in the window that confirmed it, as the class most voted for until that window closed."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._tracker = Tracker(classes)
        self._new: list[Track] = []

    def update(self, found: Detections, at_s: float) -> None:
        """Take in an analysed frame."""
        self._new += self._tracker.update(found, at_s)

    def take(self) -> Difference:
        """The arrivals confirmed since the last call."""
        labels = [track.label for track in self._new]
        self._new = []
        return Difference(np.bincount(np.array(labels, np.int64), minlength=self._classes))
