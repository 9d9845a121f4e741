"""One picture out of many of the same board: what most of them show."""

import numpy as np
from numpy.typing import NDArray
from trap_contract.detections import Detections

from trap_agent.assignment import assign
from trap_agent.motion import centres_and_sizes

_REACH = 0.5  # sizes off its place


class Consensus:
    """Gathers frames; an insect belongs to the picture if it was seen at its place in at least half of them."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._frames = 0
        self._boxes = np.zeros((0, 4), np.float32)
        self._hits = np.zeros(0, np.int64)
        self._votes = np.zeros((0, self._classes), np.float32)

    def add(self, found: Detections) -> None:
        """Take in one frame."""
        self._frames += 1
        pairs = self._matched(found)
        rows, columns = pairs.T
        self._hits[rows] += 1
        self._boxes[rows] += (found.boxes[columns] - self._boxes[rows]) / self._hits[rows, None]
        self._votes[rows, found.classes[columns]] += found.scores[columns]
        self._begin(found.take(np.setdiff1d(np.arange(len(found)), columns)))

    def picture(self) -> Detections:
        """Mean boxes, mean scores, and the class most voted for, of what half of the frames show."""
        shown = 2 * self._hits >= self._frames
        votes, hits = self._votes[shown], self._hits[shown]
        scores = votes.sum(axis=1) / np.maximum(hits, 1)
        return Detections(self._boxes[shown], scores.astype(np.float32), votes.argmax(axis=1))

    def _matched(self, found: Detections) -> NDArray[np.int64]:
        known = Detections(self._boxes, np.ones(len(self._boxes), np.float32), np.zeros(len(self._boxes), np.int64))
        (places, sizes), (now, sizes_now) = centres_and_sizes(known), centres_and_sizes(found)
        cost = np.linalg.norm(places[:, None] - now[None], axis=2) / ((sizes[:, None] + sizes_now[None]) / 2)
        return assign(cost, cost <= _REACH)

    def _begin(self, new: Detections) -> None:
        votes = np.zeros((len(new), self._classes), np.float32)
        votes[np.arange(len(new)), new.classes] = new.scores
        self._boxes = np.concatenate([self._boxes, new.boxes])
        self._hits = np.concatenate([self._hits, np.ones(len(new), np.int64)])
        self._votes = np.concatenate([self._votes, votes])
