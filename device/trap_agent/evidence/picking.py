"""Which insects of a window a person should look at: the least certain one, and one of a class seldom looked at.

An insect that sits is not shown again within the hour: what lies where one was taken is passed over.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from trap_contract.detections import Detections
from trap_contract.messages import Window
from trap_contract.suppression import iou_matrix

from trap_agent.evidence.jpegs import Area, area_around
from trap_agent.sources import Frame

MARGIN: Final = 0.15
"""A score less than this above the threshold is uncertain."""

_EVERY_S: Final = 1.0
_AGAIN_S: Final = 3600.0
_MOST_KNOWN: Final = 200
_SAME_IOU: Final = 0.3

Reason = Literal["uncertain", "sample"]


@dataclass(frozen=True, slots=True)
class Pick:
    """One insect, cut out of a frame of `frame_px` width and height."""

    at_s: float
    frame_px: tuple[int, int]
    pixels: NDArray[np.uint8]
    area: Area
    box: NDArray[np.float32]
    score: float
    label: int


class Picker:
    """Looks at one frame a second; what it holds of a window is cut out, so that no frame is kept."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._known: deque[tuple[float, NDArray[np.float32]]] = deque(maxlen=_MOST_KNOWN)
        self._taken: Counter[int] = Counter()
        self._next_s = 0.0
        self._uncertain: Pick | None = None
        self._samples: dict[int, Pick] = {}
        self._seen: Counter[int] = Counter()

    def offer(self, frame: Frame, found: Detections) -> None:
        """Consider what was found in an analysed frame."""
        if frame.pixels is None or frame.at.mono_s < self._next_s:
            return
        self._next_s = frame.at.mono_s + _EVERY_S
        fresh = found.take(self._is_fresh(found, frame.at.mono_s))
        if not len(fresh):
            return
        least = int(fresh.scores.argmin())
        if self._uncertain is None or fresh.scores[least] < self._uncertain.score:
            self._uncertain = _cut(frame, fresh, least)
        for label in np.unique(fresh.classes).tolist():
            self._sample(frame, fresh, label)

    def close(self, window: Window) -> list[tuple[Reason, Pick]]:
        """What to show of a window that has closed; the next begins anew."""
        uncertain, samples = self._uncertain, sorted(self._samples.values(), key=lambda pick: self._taken[pick.label])
        self._clear()
        picks: list[tuple[Reason, Pick]] = []
        if uncertain is not None and uncertain.score < window.model.threshold + MARGIN:
            picks.append(("uncertain", uncertain))
        other = next((pick for pick in samples if not picks or not _is_same(pick, picks[0][1])), None)
        picks += [("sample", other)] if other is not None else []
        inside = [(reason, pick) for reason, pick in picks if _is_of(pick, window)]
        for _, pick in inside:
            self._known.append((pick.at_s, pick.box))
            self._taken[pick.label] += 1
        return inside

    def _clear(self) -> None:
        self._uncertain = None
        self._samples.clear()
        self._seen.clear()

    def _sample(self, frame: Frame, fresh: Detections, label: int) -> None:
        """Hold one of a class, each of those seen in the window with the same chance (reservoir sampling)."""
        places = np.flatnonzero(fresh.classes == label)
        self._seen[label] += len(places)
        if self._rng.random() < len(places) / self._seen[label]:
            self._samples[label] = _cut(frame, fresh, int(self._rng.choice(places)))

    def _is_fresh(self, found: Detections, now_s: float) -> NDArray[np.bool_]:
        while self._known and self._known[0][0] < now_s - _AGAIN_S:
            self._known.popleft()
        if not self._known or not len(found):
            return np.ones(len(found), bool)
        known = np.stack([box for _, box in self._known])
        fresh: NDArray[np.bool_] = iou_matrix(found.boxes, known).max(axis=1) < _SAME_IOU
        return fresh


def _cut(frame: Frame, found: Detections, place: int) -> Pick:
    assert frame.pixels is not None
    height, width = frame.pixels.shape[:2]
    left, top, right, bottom = area = area_around(found.boxes[place], width, height)
    return Pick(
        frame.at.mono_s,
        (width, height),
        frame.pixels[top:bottom, left:right].copy(),
        area,
        found.boxes[place],
        float(found.scores[place]),
        int(found.classes[place]),
    )


def _is_same(one: Pick, other: Pick) -> bool:
    return bool(iou_matrix(one.box[None], other.box[None])[0, 0] >= _SAME_IOU)


def _is_of(pick: Pick, window: Window) -> bool:
    """Whether it was taken in this window, and not in one that could not be stored in time."""
    return 0 <= pick.at_s * 1000 - window.mono_ms < window.duration_ms
