"""The curve and the totals of a day: what was counted when, and when nothing was; pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from trap_contract.messages import Semantics

MOST_POINTS = 480
BUCKET_MS = 5 * 60_000
GRACE_MS = 60_000
JITTER_MS = 100

GapReason = Literal["missing", "unobserved", "other_semantics"]
Interval = tuple[float, float, float]
"""Estimate, lower and upper bound."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One window on the time axis; `counts` is None when no frame was analysed."""

    start_ms: int
    end_ms: int
    semantics: Semantics
    counts: dict[str, int] | None
    observed_s: float = 0.0
    corrected: dict[str, Interval] | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was counted and observed from `start_ms` to `end_ms`; `corrected` is None where a window was not."""

    start_ms: int
    end_ms: int
    counts: dict[str, int]
    observed_s: float
    corrected: dict[str, Interval] | None


@dataclass(frozen=True, slots=True)
class Point:
    """Counts by class from `start_ms` to `end_ms`, of the classes that the model of that time knew."""

    start_ms: int
    end_ms: int
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Totals:
    """Effort of a day and its counts by class; None where no window of those semantics was counted."""

    windows: int
    observed_s: float
    caught: dict[str, int] | None
    most_at_once: dict[str, int] | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Time without a number: never a zero."""

    start_ms: int
    end_ms: int
    reason: GapReason


def curve(observations: Sequence[Observation]) -> tuple[list[Point], int | None]:
    """Points in order of time, of the newest semantics only, and the step in ms that each stands for.

    Up to 480 windows are points themselves, without a step; more are drawn together by five minutes, those before a
    change of the model's classes apart from those after it.
    """
    seen = [one for one in observations if one.counts is not None and one.semantics == observations[-1].semantics]
    if len(seen) <= MOST_POINTS:
        return [_point([one]) for one in seen], None
    steps = groupby(seen, key=lambda one: (one.start_ms // BUCKET_MS, frozenset(one.counts or ())))
    return [_point(list(group)) for _, group in steps], BUCKET_MS


def _point(group: Sequence[Observation]) -> Point:
    """What is in the picture has a median over time; what arrives has a sum."""
    together = _median if group[0].semantics == "occupancy" else sum
    return Point(group[0].start_ms, group[-1].end_ms, _by_class(group, together))


def stretches(observations: Sequence[Observation], step_ms: int) -> list[Stretch]:
    """What was counted in steps of `step_ms`, of the newest semantics only; a step without a count is left out."""
    seen = [one for one in observations if one.counts is not None and one.semantics == observations[-1].semantics]
    return [_stretch(list(group)) for _, group in groupby(seen, key=lambda one: one.start_ms // step_ms)]


def _stretch(group: Sequence[Observation]) -> Stretch:
    point = _point(group)
    observed_s = sum(one.observed_s for one in group)
    return Stretch(point.start_ms, point.end_ms, point.counts, observed_s, corrected_sum(group))


def corrected_sum(group: Sequence[Observation]) -> dict[str, Interval] | None:
    """Corrected counts of several windows; None for occupancy, which has no sum, and where one has none.

    Bounds are added as they are: the windows share one confusion matrix, so that their errors do not cancel.
    """
    if any(not one.corrected or one.semantics == "occupancy" for one in group if one.counts is not None):
        return None
    added: dict[str, list[Interval]] = defaultdict(list)
    for one in group:
        for name, interval in (one.corrected or {}).items():
            added[name].append(interval)
    return {name: (sum(e), sum(low), sum(high)) for name, (e, low, high) in _columns(added)} or None


def _columns(added: dict[str, list[Interval]]) -> Iterator[tuple[str, tuple[list[float], ...]]]:
    return ((name, tuple(map(list, zip(*intervals, strict=True)))) for name, intervals in added.items())


def _by_class(group: Iterable[Observation], together: Callable[[Sequence[int]], int]) -> dict[str, int]:
    """One number a class, over the windows whose model knew it."""
    values: dict[str, list[int]] = defaultdict(list)
    for one in group:
        for name, count in (one.counts or {}).items():
            values[name].append(count)
    return {name: together(counts) for name, counts in values.items()}


def _median(values: Sequence[int]) -> int:
    """Halves are rounded up."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2] + 1) // 2


def totals(observations: Sequence[Observation]) -> Totals:
    """Effort, and what was caught (a sum) or seen at once (a maximum: occupancy has no sum)."""
    counted = [one for one in observations if one.counts is not None]
    return Totals(
        windows=len(observations),
        observed_s=sum(one.observed_s for one in observations),
        caught=_by_class((one for one in counted if one.semantics != "occupancy"), sum) or None,
        most_at_once=_by_class((one for one in counted if one.semantics == "occupancy"), max) or None,
    )


def gaps(observations: Sequence[Observation], since_ms: int, until_ms: int) -> list[Gap]:
    """Stretches of `since_ms`..`until_ms` without a comparable count; `observations` are in order of their start."""
    return list(_merged(_gaps(observations, since_ms, until_ms)))


def _gaps(observations: Sequence[Observation], since_ms: int, until_ms: int) -> Iterator[Gap]:
    reach_ms, length_ms = since_ms, 0
    for one in observations:
        length_ms = one.end_ms - one.start_ms
        if one.start_ms - reach_ms > length_ms / 2:
            yield Gap(reach_ms, one.start_ms, "missing")
        if one.counts is None:
            yield Gap(one.start_ms, one.end_ms, "unobserved")
        elif one.semantics != observations[-1].semantics:
            yield Gap(one.start_ms, one.end_ms, "other_semantics")
        reach_ms = max(reach_ms, one.end_ms)
    if until_ms - reach_ms > GRACE_MS + 2 * length_ms:  # the newest window may still be on its way
        yield Gap(reach_ms, until_ms, "missing")


def _merged(found: Iterable[Gap]) -> Iterator[Gap]:
    last: Gap | None = None
    for gap in found:
        if last is not None and last.reason == gap.reason and gap.start_ms - last.end_ms <= JITTER_MS:
            last = Gap(last.start_ms, max(last.end_ms, gap.end_ms), gap.reason)
            continue
        if last is not None:
            yield last
        last = gap
    if last is not None:
        yield last
