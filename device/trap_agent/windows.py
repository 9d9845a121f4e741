"""Counting windows: what was found in the frames of one stretch of time, and how well it was looked for.

Windows lie side by side at whole multiples of their length on the monotonic clock. All functions take time as an
argument.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from trap_contract.correction import Correction
from trap_contract.detections import Detections
from trap_contract.messages import Corrected, Effort, Latency, ModelRef, Occupancy, Semantics, Window

from trap_agent.clock import Moment
from trap_agent.counters import Counter
from trap_agent.effort import Absence, FrameFate, Timeline

Draft = partial[Window]
"""A closed window without its key: `draft(boot=..., seq=...)` is the record."""


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """What all windows of one agent run share."""

    length_s: float
    interval_s: float
    classes: tuple[str, ...]
    model: ModelRef
    kernel_boot: str = ""
    semantics: Semantics = "occupancy"
    correction: Correction | None = None


class WindowSeries:
    """The window that is open now, and the ones before it as they close.

    Without a counter a window's count is the median number in the picture; with one, what that counts as new.
    """

    def __init__(self, plan: WindowPlan, begun: Moment, counter: Counter | None = None) -> None:
        self._plan = plan
        self._counter = counter
        self._open = _OpenWindow(plan, math.floor(begun.mono_s / plan.length_s) * plan.length_s, begun.mono_s)

    def advance(self, now: Moment) -> Iterator[Draft]:
        """Close and yield every window that has ended by now."""
        while now.mono_s >= self._open.end_s:
            yield self._open.close(now, self._counter)
            self._open = _OpenWindow(self._plan, self._open.end_s, self._open.end_s, self._open.timeline.absence)

    def finish(self, now: Moment) -> Iterator[Draft]:
        """Close what has ended, then the window that is open if it has begun, its rest being the gap `stop`."""
        yield from self.advance(now)
        if now.mono_s > self._open.start_s:
            yield self._open.close(now, self._counter)

    def analysed(self, at: Moment, found: Detections, latency_ms: float, looks: int = 1) -> None:
        """Count a frame taken at `at`, which the model saw in `looks` pictures."""
        self._open.frame(at, "observed")
        self._open.add(found, latency_ms, looks)
        if self._counter is not None:
            self._counter.update(found, at.mono_s)

    def unreadable(self, at: Moment) -> None:
        """Note a frame that came and could not be read."""
        self._open.frame(at, "unreadable")

    def dark(self, at: Moment) -> None:
        """Note a frame that shows nothing."""
        self._open.frame(at, "dark")

    def dropped(self, at: Moment) -> None:
        """Note a frame that a newer one replaced before it could be analysed."""
        self._open.frame(at, "overload")

    def lost(self, at: Moment, absence: Absence = "camera") -> None:
        """Note that no frames come from here on, because the source is lost or the trap sleeps."""
        self._open.timeline.lost(at.mono_s, absence)

    def replan(self, plan: WindowPlan) -> None:
        """Go by this plan from the next window on, which begins where the open one ends."""
        self._plan = plan


class _OpenWindow:
    def __init__(self, plan: WindowPlan, start_s: float, begun_s: float, absence: Absence = "no_frame") -> None:
        self.end_s = start_s + plan.length_s
        self.start_s = start_s
        self._plan = plan
        self.timeline = Timeline(start_s, self.end_s, plan.interval_s, begun_s, absence)
        self._fates: dict[FrameFate, int] = dict.fromkeys(get_args(FrameFate), 0)
        self._counts: list[NDArray[np.int64]] = []
        self._scores = np.zeros(len(plan.classes))
        self._latencies_ms: list[float] = []
        self._looks = 1

    def frame(self, at: Moment, fate: FrameFate) -> None:
        self.timeline.frame(at.mono_s, fate)
        self._fates[fate] += 1

    def add(self, found: Detections, latency_ms: float, looks: int) -> None:
        self._counts.append(found.counts(len(self._scores)))
        self._scores += np.bincount(found.classes, weights=found.scores, minlength=len(self._scores))
        self._latencies_ms.append(latency_ms)
        self._looks = looks

    def close(self, now: Moment, counter: Counter | None) -> Draft:
        """The draft, its wall time taken from the closing moment: a clock set in mid window dates it rightly."""
        draft = partial(
            Window,
            kernel_boot=self._plan.kernel_boot,
            wall_ms=now.wall_ms_at(self.start_s),
            mono_ms=round(self.start_s * 1000),
            duration_ms=round(self._plan.length_s * 1000),
            clock=now.clock(),
            semantics=self._plan.semantics,
            counts=None,
            effort=self._effort(now),
            model=self._plan.model,
        )
        return partial(draft, **self._found(counter)) if self._counts else draft

    def _effort(self, now: Moment) -> Effort:
        observed_s, gaps = self.timeline.close(now.mono_s)
        return Effort(
            observed_s=observed_s,
            frames_seen=sum(self._fates.values()),
            frames_analysed=self._fates["observed"],
            frames_dropped=self._fates["overload"],
            gaps=gaps,
        )

    def _found(self, counter: Counter | None) -> dict[str, object]:
        names, frames = self._plan.classes, np.stack(self._counts)
        totals = frames.sum(axis=0)
        means, peaks = frames.mean(axis=0), frames.max(axis=0)
        new = None if counter is None else counter.take()
        counts = median_count(frames) if new is None else new.counts.tolist()
        return {
            "counts": dict(zip(names, counts, strict=True)),
            "corrected": self._corrected(counts),
            "board": None if new is None else new.board,
            "occupancy": {
                name: Occupancy(mean=round(float(mean), 4), max=int(peak))
                for name, mean, peak in zip(names, means, peaks, strict=True)
            },
            "confidence": {
                name: round(min(1.0, float(score / total)), 4)
                for name, score, total in zip(names, self._scores, totals, strict=True)
                if total
            },
            "latency_ms": latency_of(self._latencies_ms),
        }

    def _corrected(self, counts: list[int]) -> dict[str, Corrected]:
        """A matrix of single pictures corrects what is in one; it says nothing of tracks, nor of what stays on."""
        if self._plan.correction is None or self._plan.semantics != "occupancy":
            return {}
        rng = np.random.default_rng(round(self.start_s * 1000))
        found = self._plan.correction.correct(counts, self._looks, rng)
        return dict(zip(self._plan.classes, found, strict=True))


def median_count(frames: NDArray[np.int64]) -> list[int]:
    """Per class the median of counts (frames, classes), halves rounded up."""
    return [math.floor(median + 0.5) for median in np.median(frames, axis=0)]


def latency_of(milliseconds: Sequence[float]) -> Latency:
    """Median and 95th percentile."""
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return Latency(p50=round(float(p50), 3), p95=round(float(p95), 3))
