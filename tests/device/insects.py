"""What a detector sees of insects that come, sit, walk over one another and leave: boxes only, no pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from trap_contract.detections import Detections
from trap_contract.suppression import suppress
from trap_scene.visits import Timetable, Visit

CLASSES = 5
SETTLED_S = 2.0
"""What comes before counts as having been there at the start."""

UNCONFIRMED_S = 1.3
"""What comes later than this before the end can't be confirmed any more."""


@dataclass(frozen=True, slots=True)
class Eyesight:
    """How badly a detector sees: shares of frames, of box sides, of labels, and false boxes a frame."""

    missed: float = 0.1
    hidden: float = 0.1  # of insects, in every 6 s, for up to 1.8 s
    jitter: float = 0.05
    mislabelled: float = 0.15
    false: float = 0.02


SHARP = Eyesight(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Board:
    """A seeded board of so many insects a minute; `walkers` is the share that walks across."""

    seed: int
    per_minute: float = 60.0
    walkers: float = 0.2
    side: int = 700

    def table(self) -> Timetable:
        return Timetable(np.random.default_rng(self.seed), self.side, self.side, self.per_minute, self.walkers)

    def frames(self, length_s: float, fps: float, sight: Eyesight) -> Iterator[tuple[float, Detections]]:
        """Times in s and what is detected then."""
        table, rng = self.table(), np.random.default_rng([self.seed, 7])
        for index in range(round(length_s * fps)):
            at_s = index / fps
            yield at_s, self._seen(table.present(at_s), at_s, sight, rng)

    def arrivals(self, length_s: float) -> list[int]:
        """True arrivals by class."""
        table, came = self.table(), {}
        for at_s in np.arange(0, length_s, 0.5):
            came |= {visit.ordinal: visit for visit in table.present(float(at_s))}
        new = [one for one in came.values() if SETTLED_S < one.start_s <= length_s - UNCONFIRMED_S]
        return np.bincount([_label(visit) for visit in new], minlength=CLASSES).tolist()

    def _seen(self, visits: list[Visit], at_s: float, sight: Eyesight, rng: np.random.Generator) -> Detections:
        shown = [visit for visit in visits if rng.random() >= sight.missed and not self._is_hidden(visit, at_s, sight)]
        boxes = np.array([_box(visit, at_s) for visit in shown]).reshape(-1, 4)
        labels = np.array([_label(visit) for visit in shown], np.int64)
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        boxes = boxes + rng.normal(0, 1, boxes.shape) * sight.jitter * sides
        labels = np.where(rng.random(len(labels)) < sight.mislabelled, rng.integers(0, CLASSES, len(labels)), labels)
        false = rng.poisson(sight.false)
        at = rng.uniform(0, self.side, (false, 2))
        boxes = np.concatenate([boxes, np.concatenate([at - 20, at + 20], axis=1)])
        labels = np.concatenate([labels, rng.integers(0, CLASSES, false)])
        scores = rng.uniform(0.4, 0.9, len(labels))
        found = Detections(boxes.astype(np.float32), scores.astype(np.float32), labels.astype(np.int64))
        return suppress(found, 0.5, class_aware=False)

    def _is_hidden(self, visit: Visit, at_s: float, sight: Eyesight) -> bool:
        stretch, within_s = divmod(at_s - visit.start_s, 6)
        dice, begun_s, length_s = _hiding(self.seed, visit.ordinal, int(stretch))
        return dice < sight.hidden and 0 <= within_s - begun_s < length_s


def _label(visit: Visit) -> int:
    return visit.ordinal % CLASSES


def _box(visit: Visit, at_s: float) -> list[float]:
    """An insect 35 to 60 px long."""
    place = visit.at(at_s)
    wide, high = _half_sides(visit.ordinal)
    return [place.x - wide, place.y - high, place.x + wide, place.y + high]


@cache
def _half_sides(ordinal: int) -> tuple[float, float]:
    wide, high = np.random.default_rng(ordinal).uniform(17, 30, 2)
    return float(wide), float(high)


@cache
def _hiding(seed: int, ordinal: int, stretch: int) -> tuple[float, float, float]:
    """Dice for one insect and 6 s: whether it is hidden, from when, for how long."""
    dice = np.random.default_rng([seed, ordinal, stretch])
    return float(dice.random()), float(dice.uniform(1.5, 4.0)), float(dice.uniform(0.3, 1.8))
