"""Insects followed through the frames, so that one that sits for an hour arrives once.

A track lives through 2 s in which its insect is not seen, counted in time and not in frames; where frames are more than
a second apart, through two of them. After a longer stretch without frames, insects are known again by their place and
class. What can't be told apart: an insect that leaves and another that lands on its place within that time, or while
the camera was away; an insect that leaves and comes back later arrives twice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from trap_contract.detections import Detections

from trap_agent.assignment import assign
from trap_agent.motion import Floats, Motion, centres_and_sizes

OCCLUSION_S = 2.0
"""How long an insect may be out of sight and still be the same."""

CONFIRM_S = 1.0
"""How long a new insect must be seen before it counts, in at least half of the frames of its life."""

_REACH = 0.3  # how far off its place an insect is still the same, in sizes, and more by the doubt about its place
_REACH_BY_DOUBT = 0.75
_MOST_REACH = 1.0
_REACH_BY_PLACE = 0.5
_UNLIKE_SIZE = 0.3  # cost of a size that is e times another
_UNLIKE_CLASS = 0.25


@dataclass(slots=True)
class Track:
    """One insect: times in s by the caller's clock, and the score it got as each class."""

    begun_s: float
    seen_s: float
    votes: Floats
    was_there: bool
    hits: int = 1
    frames: int = 1
    missed_s: float = 0.0
    is_confirmed: bool = False

    @property
    def label(self) -> int:
        """Index of the class with the highest sum of scores so far."""
        return int(np.argmax(self.votes))

    @property
    def may_be_confirmed(self) -> bool:
        """Whether it was seen for long enough and in half of its frames at least."""
        return self.seen_s - self.begun_s >= CONFIRM_S and 2 * self.hits >= self.frames


class Tracker:
    """Follows the insects of one camera.

    An arrival is a track that began more than OCCLUSION_S after the first frame, in the frame that confirms it: what
    was there at the start, or may have been hidden then, is followed and is no arrival.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._motion = Motion()
        self._tracks: list[Track] = []
        self._begun_s: float | None = None
        self._at_s = 0.0

    def update(self, found: Detections, at_s: float) -> list[Track]:
        """Take in the frame of `at_s`, not before the last one; the arrivals that it confirms.

        A track goes on gathering votes, so its label may change after it was returned.
        """
        step_s = self._step(at_s)
        rows, columns = self._matched(found, at_s)
        centres, sizes = centres_and_sizes(found)
        self._motion.correct(rows, centres[columns], sizes[columns])
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            self._see(self._tracks[row], found, column, at_s)
        self._miss(np.setdiff1d(np.arange(len(self._tracks)), rows), step_s)
        self._begin(found, np.setdiff1d(np.arange(len(found)), columns), at_s)
        return self._confirmed()

    def _step(self, at_s: float) -> float:
        if self._begun_s is None:
            self._begun_s = self._at_s = at_s
        step_s = max(0.0, at_s - self._at_s)
        self._at_s = at_s
        if step_s > OCCLUSION_S:
            self._motion.halt()
        else:
            self._motion.predict(step_s)
        return step_s

    def _matched(self, found: Detections, at_s: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of tracks and columns of detections that belong together; confirmed tracks choose first."""
        cost, is_near = self._costs(found, at_s)
        is_confirmed = np.array([track.is_confirmed for track in self._tracks], bool)
        first = assign(cost, is_near & is_confirmed[:, None])
        is_near[:, first[:, 1]] = False
        second = assign(cost, is_near & ~is_confirmed[:, None])
        rows, columns = np.concatenate([first, second]).T
        return rows, columns

    def _costs(self, found: Detections, at_s: float) -> tuple[Floats, NDArray[np.bool_]]:
        """What each pairing (tracks, detections) costs, in sizes, and whether it is near enough."""
        centres, sizes = centres_and_sizes(found)
        seen_s = np.array([track.seen_s for track in self._tracks])
        labels = np.array([track.label for track in self._tracks], np.int64)
        is_long_ago = at_s - seen_s > OCCLUSION_S
        offset = np.linalg.norm(self._motion.centres[:, None] - centres[None], axis=2)
        cost = offset / ((self._motion.sizes[:, None] + sizes[None]) / 2)
        cost += _UNLIKE_SIZE * np.abs(np.log(self._motion.sizes[:, None] / sizes[None]))
        cost += _UNLIKE_CLASS * (is_long_ago[:, None] & (labels[:, None] != found.classes[None]))
        by_motion = np.minimum(_REACH + _REACH_BY_DOUBT * self._motion.doubt, _MOST_REACH)
        return cost, cost <= np.where(is_long_ago, _REACH_BY_PLACE, by_motion)[:, None]

    def _see(self, track: Track, found: Detections, column: int, at_s: float) -> None:
        track.seen_s = at_s
        track.missed_s = 0.0
        track.hits += 1
        track.frames += 1
        track.votes[found.classes[column]] += found.scores[column]

    def _miss(self, rows: NDArray[np.int64], step_s: float) -> None:
        """Age the tracks not seen, and drop those unseen for too long."""
        for row in rows.tolist():
            self._tracks[row].missed_s += min(step_s, OCCLUSION_S / 2)
            self._tracks[row].frames += 1
        alive = [row for row, track in enumerate(self._tracks) if not _is_lost(track)]
        self._tracks = [self._tracks[row] for row in alive]
        self._motion.keep(np.array(alive, np.int64))

    def _begin(self, found: Detections, columns: NDArray[np.int64], at_s: float) -> None:
        new = found.take(columns)
        self._motion.add(*centres_and_sizes(new))
        votes = np.zeros((len(new), self._classes))
        votes[np.arange(len(new)), new.classes] = new.scores
        was_there = self._begun_s is not None and at_s - self._begun_s <= OCCLUSION_S
        self._tracks += [Track(at_s, at_s, row, was_there) for row in votes]

    def _confirmed(self) -> list[Track]:
        new = [track for track in self._tracks if not track.is_confirmed and track.may_be_confirmed]
        for track in new:
            track.is_confirmed = True
        return [track for track in new if not track.was_there]


def _is_lost(track: Track) -> bool:
    return track.missed_s > (OCCLUSION_S if track.is_confirmed else CONFIRM_S / 2)
