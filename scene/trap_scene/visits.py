"""Who comes to a living board, when, where, and how it moves there: numbers only, no pixels."""

from dataclasses import dataclass

import numpy as np

from trap_scene.brush import Floats

FLIGHT_S = 0.3  # approach before sitting and departure after it
_WARM_UP_S = 60.0  # visits start this long before the first frame, so that the board is not empty
_STAY_S = (8.0, 32.0)
_STEP_PX = 6.0  # the longest walk between two rests, on each axis
REACH_PX = 41.0  # half the longest insect
_CLEARANCE = 0.8  # of twice the reach (with its walk) between two homes
_TRIES = 30
_WALK_PX_S = (15.0, 45.0)  # the pace of one that walks right across the board


@dataclass(frozen=True, slots=True)
class Place:
    """Where a visitor is: body centre px, turn in radians, and how far from the board, 0 sitting to 1 gone."""

    x: float
    y: float
    turn: float
    height: float
    walking: bool


_MOST_VISITS = 1000
"""Kept at most: a living board runs for months."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay, in seconds of the video; `keys` (K,4) are time, x, y and turn between which it moves evenly."""

    ordinal: int
    start_s: float
    end_s: float
    keys: Floats

    def at(self, time_s: float) -> Place:
        """Where the visitor is at a time within its stay."""
        x, y, turn = (float(np.interp(time_s, self.keys[:, 0], self.keys[:, i])) for i in (1, 2, 3))
        edge = min(time_s - self.start_s, self.end_s - time_s)
        leg = int(np.searchsorted(self.keys[1:-1, 0], time_s, side="right"))
        walking = not np.array_equal(self.keys[leg, 1:], self.keys[leg + 1, 1:])
        return Place(x, y, turn, float(np.clip(1 - edge / FLIGHT_S, 0, 1)), walking)


class Timetable:
    """All visits to a board of a given size, made in order of arrival as far as they are asked for.

    A share of them, the `walkers`, does not sit but walks right across the board and over whoever sits there.
    """

    def __init__(
        self, rng: np.random.Generator, width: int, height: int, arrivals_per_minute: float, walkers: float = 0.0
    ) -> None:
        self._rng = rng
        self._walkers = walkers
        self._size = np.array([width, height], float)
        self._gap_s = 60.0 / arrivals_per_minute if arrivals_per_minute > 0 else 0.0
        self._dice = rng.bit_generator.state
        self._begin()

    def _begin(self) -> None:
        self._rng.bit_generator.state = self._dice
        self._clock_s = -_WARM_UP_S if self._gap_s else np.inf
        self._visits: list[Visit] = []
        self._staying: list[Visit] = []  # those who may still be there when the next one comes
        self._next = 0
        self._forgot_until_s = -np.inf

    def present(self, time_s: float) -> list[Visit]:
        """The visits under way at a time, in order of arrival; old ones are forgotten, and made again if asked for."""
        if time_s < self._forgot_until_s:
            self._begin()
        while self._clock_s <= time_s:
            self._admit()
        if len(self._visits) > _MOST_VISITS:
            self._visits = [visit for visit in self._visits if visit.end_s > time_s]
            self._forgot_until_s = time_s
        return [visit for visit in self._visits if visit.start_s <= time_s < visit.end_s]

    def _admit(self) -> None:
        """Let the next one in, unless it finds no room."""
        self._clock_s += float(self._rng.exponential(self._gap_s))
        if self._walkers and self._rng.random() < self._walkers:
            self._visits.append(self._crossing())
            self._next += 1
            return
        start_s, end_s = self._clock_s, self._clock_s + float(self._rng.uniform(*_STAY_S))
        spread = np.maximum(self._size / 2 - REACH_PX - _STEP_PX, 0)
        self._staying = [visit for visit in self._staying if visit.end_s > start_s]
        others = np.array([visit.keys[0, 1:3] for visit in self._staying]).reshape(-1, 2)
        for _ in range(_TRIES):
            home = self._size / 2 + self._rng.uniform(-1, 1, 2) * spread
            if np.all(np.hypot(*(others - home).T) > 2 * _CLEARANCE * (REACH_PX + _STEP_PX)):
                visit = Visit(self._next, start_s, end_s, _walk(self._rng, home, start_s, end_s))
                self._visits.append(visit)
                self._staying.append(visit)
                break
        self._next += 1

    def _crossing(self) -> Visit:
        """A straight walk through a place near the middle of the board, both ends on it."""
        heading = self._rng.uniform(0, 2 * np.pi)
        way = np.array([np.cos(heading), np.sin(heading)])
        half = np.maximum(self._size / 2 - REACH_PX, 1)
        middle = self._size / 2 + self._rng.uniform(-0.3, 0.3, 2) * half
        length = 2 * float(np.min((half - np.abs(middle - self._size / 2)) / np.maximum(np.abs(way), 1e-9)))
        end_s = self._clock_s + length / float(self._rng.uniform(*_WALK_PX_S))
        ends = [[at_s, *(middle + side * length / 2 * way), 0.0] for at_s, side in ((self._clock_s, -1), (end_s, 1))]
        return Visit(self._next, self._clock_s, end_s, np.array(ends))


def _walk(rng: np.random.Generator, home: Floats, start_s: float, end_s: float) -> Floats:
    """Long rests at and near home, with short walks and turns between them."""
    keys = [[start_s, *home, 0.0]]
    while True:
        rest_end = keys[-1][0] + rng.uniform(2.0, 9.0)
        walk_end = rest_end + rng.uniform(0.6, 1.6)
        keys.append([min(rest_end, end_s), *keys[-1][1:]])
        if walk_end > end_s - FLIGHT_S:
            keys[-1][0] = end_s
            return np.array(keys)
        keys.append([walk_end, *(home + rng.uniform(-_STEP_PX, _STEP_PX, 2)), keys[-1][3] + rng.normal(0, 0.35)])
