"""The catch of a board that keeps it: who is there now and was not there before.

A window's picture is what was seen at the same place in at least half of its frames; with one frame, that frame. It is
laid on what is remembered of the board, shifted as a whole if the board was, and whoever has no counterpart is new.
Nobody is counted twice for being overlooked in up to PATIENCE pictures. The first picture of all is only remembered:
what it shows was caught nobody knows when. What can't be told: an insect that falls off and another that lands on its
place; how many came and went between two pictures; how many were added while the board moved out of reach.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from trap_contract.detections import Detections
from trap_contract.errors import StoreError
from trap_contract.logs import log
from trap_contract.messages import BoardChange

from trap_agent.assignment import assign
from trap_agent.consensus import Consensus
from trap_agent.counters import Difference
from trap_agent.motion import Floats, centres_and_sizes
from trap_agent.statefile import read_state, write_state

PATIENCE = 12
"""Pictures in which an insect may be overlooked before it is forgotten, or after which an emptied board stays so."""

_REACH = 0.5  # sizes off its place
_UNLIKE_CLASS = 0.25
_FARTHEST = 4.0  # a shift of the whole board that can be found, in sizes
_CELL = 0.25
_FEW = 5  # insects too few to tell an emptied board by
_MOST_GONE = 0.8
_ALIGNED = 0.5  # of the insects of either picture that must agree on a shift


@dataclass(slots=True)
class Memory:
    """Insects known on the board, and in how many pictures since each was overlooked (N,)."""

    insects: Detections = field(default_factory=Detections.empty)
    overlooked: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, insects: Detections) -> "Memory":
        """All of them seen just now."""
        return cls(insects, np.zeros(len(insects), np.int64))

    def with_others(self, others: "Memory") -> "Memory":
        """These insects and those."""
        insects = Detections.joined([self.insects, others.insects])
        return Memory(insects, np.concatenate([self.overlooked, others.overlooked]))

    def renewed(self, pairs: NDArray[np.int64], shift: Floats, seen: Detections) -> "Memory":
        """After a picture: the matched where they are now, the new ones too, the long overlooked forgotten."""
        boxes = self.insects.boxes + np.tile(shift, 2).astype(np.float32)
        boxes[pairs[:, 0]] = seen.boxes[pairs[:, 1]]
        overlooked = self.overlooked + 1
        overlooked[pairs[:, 0]] = 0
        known = overlooked <= PATIENCE
        old = Memory(Detections(boxes, self.insects.scores, self.insects.classes).take(known), overlooked[known])
        return old.with_others(Memory.of(seen.take(_unmatched(pairs, len(seen)))))


class Board:
    """What is remembered of one board. `known` is None before the first picture."""

    def __init__(self, classes: int, known: Memory | None = None) -> None:
        self._classes = classes
        self.known = known
        self._before: Memory | None = None
        self._since = 0

    @property
    def remembered(self) -> Memory:
        """What a new start must know, those included who were there before the last reset and may come back."""
        known = self.known or Memory()
        return known if self._before is None else self._before.with_others(known)

    def compare(self, seen: Detections) -> Difference:
        """Take in a picture; the counts are never negative.

        Where most of at least five insects are gone at once, the board was emptied; or, if as many as half are there
        at other places, it moved, and of each class only what exceeds the number before is new. Should those who were
        gone be back within PATIENCE pictures, as after a night without a lamp, they are known again.
        """
        if self.known is None:
            self.known = Memory.of(seen)
            return self._difference(np.zeros(0, np.int64))
        self._recall(seen)
        pairs, shift = match(self.known.insects, seen)
        there = self.known.overlooked == 0
        if there.sum() >= _FEW and there[pairs[:, 0]].sum() <= (1 - _MOST_GONE) * there.sum():
            return self._reset(seen, pairs, self.known.insects.take(there))
        self.known = self.known.renewed(pairs, shift, seen)
        return self._difference(seen.classes[_unmatched(pairs, len(seen))])

    def _recall(self, seen: Detections) -> None:
        """Go back to what was known before a reset if it proves false."""
        if self._before is None or self.known is None:
            return
        self._since += 1
        pairs, _ = match(self._before.insects, seen)
        if len(pairs) >= _ALIGNED * len(self._before.insects):
            self.known = self._before.with_others(self.known)
        elif self._since <= PATIENCE:
            return
        self._before = None

    def _reset(self, seen: Detections, pairs: NDArray[np.int64], gone: Detections) -> Difference:
        self.known, self._before, self._since = Memory.of(seen), Memory.of(gone), 0
        if len(seen) < len(gone) / 2:
            return self._difference(seen.classes[_unmatched(pairs, len(seen))], "emptied")
        more = seen.counts(self._classes) - gone.counts(self._classes)
        return Difference(more.clip(0), "moved")

    def _difference(self, labels: NDArray[np.int64], board: BoardChange | None = None) -> Difference:
        return Difference(np.bincount(labels, minlength=self._classes), board)


def match(known: Detections, seen: Detections) -> tuple[NDArray[np.int64], Floats]:
    """Pairs (P, 2) of the same insect by place and class, and the shift (2,) px of the whole board between them."""
    still = np.zeros(2)
    pairs = _matched_by_place(known, seen, still)
    fewer = min(len(known), len(seen))
    if fewer < 3 or len(pairs) == fewer:
        return pairs, still
    shift = _commonest_offset(known, seen)
    moved = _matched_by_place(known, seen, shift)
    if len(moved) <= max(len(pairs), _ALIGNED * fewer):
        return pairs, still
    return moved, shift


def _matched_by_place(known: Detections, seen: Detections, shift: Floats) -> NDArray[np.int64]:
    (places, sizes), (now, sizes_now) = centres_and_sizes(known), centres_and_sizes(seen)
    offset = np.linalg.norm(places[:, None] + shift - now[None], axis=2)
    cost = offset / ((sizes[:, None] + sizes_now[None]) / 2)
    cost += _UNLIKE_CLASS * (known.classes[:, None] != seen.classes[None])
    return assign(cost, cost <= _REACH)


def _commonest_offset(known: Detections, seen: Detections) -> Floats:
    """The offset on which most pairs agree, found in cells of a quarter of an insect."""
    (places, sizes), (now, _) = centres_and_sizes(known), centres_and_sizes(seen)
    size = float(np.median(sizes))
    offsets = (now[None] - places[:, None]).reshape(-1, 2)
    offsets = offsets[np.abs(offsets).max(axis=1) <= _FARTHEST * size]
    if not len(offsets):
        return np.zeros(2)
    edge = _FARTHEST * size
    bins = np.linspace(-edge, edge, int(2 * _FARTHEST / _CELL) + 1)
    votes, across, down = np.histogram2d(offsets[:, 0], offsets[:, 1], bins=[bins, bins])
    padded = np.pad(votes, 1)
    around = sum(padded[i : i + len(votes), j : j + len(votes)] for i in range(3) for j in range(3))
    x, y = np.unravel_index(np.argmax(around), votes.shape)
    middle = np.array([across[x] + across[x + 1], down[y] + down[y + 1]]) / 2
    near = np.abs(offsets - middle).max(axis=1) <= 1.5 * _CELL * size
    return np.asarray(np.median(offsets[near], axis=0))


def _unmatched(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.setdiff1d(np.arange(count), pairs[:, 1])


class CatchCounter:
    """Counts what a window's picture adds to a board, whose memory survives restarts in a file of `state_dir`.

    The memory is written before the window is stored: a power cut between the two loses a count, and never counts an
    insect twice.
    """

    def __init__(self, classes: int, state_dir: Path) -> None:
        self._path = state_dir / "catch.json"
        self._classes = classes
        self._picture = Consensus(classes)
        state = read_state(self._path, _State)
        self._board = Board(classes, state.memory() if state and state.class_count == classes else None)

    def update(self, found: Detections, _at_s: float) -> None:
        """Take in an analysed frame."""
        self._picture.add(found)

    def take(self) -> Difference:
        """What the frames since the last call add."""
        difference = self._board.compare(self._picture.picture())
        self._picture.clear()
        if difference.board is not None:
            log.warning(
                "most of the catch is gone at once", board=difference.board, now_new=int(difference.counts.sum())
            )
        self._keep()
        return difference

    def _keep(self) -> None:
        try:
            write_state(self._path, _State.of(self._classes, self._board.remembered))
        except StoreError as error:
            log.error("what is known of the board is not kept over a restart", error=str(error))


class _State(BaseModel):
    """The file's content; boxes in px of the picture."""

    class_count: int
    boxes: list[tuple[float, float, float, float]]
    scores: list[float]
    classes: list[int]
    overlooked: list[int]

    @classmethod
    def of(cls, class_count: int, memory: Memory) -> "_State":
        insects = memory.insects
        return cls(
            class_count=class_count,
            boxes=insects.boxes.tolist(),
            scores=insects.scores.tolist(),
            classes=insects.classes.tolist(),
            overlooked=memory.overlooked.tolist(),
        )

    def memory(self) -> Memory:
        boxes = np.array(self.boxes, np.float32).reshape(-1, 4)
        insects = Detections(boxes, np.array(self.scores, np.float32), np.array(self.classes, np.int64))
        return Memory(insects, np.array(self.overlooked, np.int64))
