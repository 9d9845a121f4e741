"""Small values that several device tests need."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from trap_agent.clock import Moment
from trap_agent.windows import Draft, WindowPlan
from trap_contract.detections import Detections
from trap_contract.messages import Clock, Effort, ModelRef, Window

CLASSES = ("Female", "Male", "Incomplete", "Out of Focus", "Undefined")
MODEL = ModelRef(id="test", sha256="0" * 64, threshold=0.5)
NO_BROKER = 1
"""A port on which nothing ever listens."""

WALL_MS = 1_700_000_000_000


def moment(mono_s: float, wall_ms: int | None = None, *, is_synced: bool = False) -> Moment:
    """A moment whose wall clock goes with the monotonic one unless said otherwise."""
    return Moment(mono_s, WALL_MS + round(mono_s * 1000) if wall_ms is None else wall_ms, is_synced)


def plan(length_s: float = 10.0, interval_s: float = 1.0) -> WindowPlan:
    return WindowPlan(length_s, interval_s, CLASSES, MODEL, "kernel")


def found(*labels: int, scores: Sequence[float] | None = None) -> Detections:
    """Detections of these class indices; where the boxes are does not matter."""
    values = np.asarray([0.9] * len(labels) if scores is None else scores, np.float32)
    return Detections(np.zeros((len(labels), 4), np.float32), values, np.asarray(labels, np.int64))


def draft(wall_ms: int = WALL_MS) -> Draft:
    """A closed window that saw nothing."""
    return partial(
        Window,
        wall_ms=wall_ms,
        mono_ms=0,
        duration_ms=1000,
        clock=Clock(synced=False),
        semantics="occupancy",
        counts=None,
        effort=Effort(observed_s=0, frames_seen=0, frames_analysed=0),
        model=MODEL,
    )


class SetClock:
    """A clock that shows what it is set to."""

    def __init__(self, mono_s: float = 100.0) -> None:
        self.mono_s = mono_s

    def now(self) -> Moment:
        return moment(self.mono_s)
