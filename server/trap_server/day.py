"""The curve of a day: what was counted when, and when nothing was; pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from trap_contract.messages import Semantics

FEMALE = "Female"
MALE = "Male"
MOST_POINTS = 480
BUCKET_MS = 5 * 60_000
GRACE_MS = 60_000
JITTER_MS = 100

GapReason = Literal["missing", "unobserved", "other_semantics"]


@dataclass(frozen=True, slots=True)
class Observation:
    """One window on the time axis; `counts` is None when no frame was analysed."""

    start_ms: int
    end_ms: int
    semantics: Semantics
    counts: dict[str, int] | None


@dataclass(frozen=True, slots=True)
class Point:
    """Females and males from `start_ms` to `end_ms`; None for a class that the model does not know."""

    start_ms: int
    end_ms: int
    females: int | None
    males: int | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Time without a number: never a zero."""

    start_ms: int
    end_ms: int
    reason: GapReason


def curve(observations: Sequence[Observation]) -> tuple[list[Point], int | None]:
    """Points in order of time, of the newest semantics only, and the step in ms that each stands for.

    Up to 480 windows are points themselves, without a step; more are drawn together by five minutes.
    """
    seen = [one for one in observations if one.counts is not None and one.semantics == observations[-1].semantics]
    if len(seen) <= MOST_POINTS:
        return [_point([one]) for one in seen], None
    steps = groupby(seen, key=lambda one: one.start_ms // BUCKET_MS)
    return [_point(list(group)) for _, group in steps], BUCKET_MS


def _point(group: Sequence[Observation]) -> Point:
    return Point(group[0].start_ms, group[-1].end_ms, _together(group, FEMALE), _together(group, MALE))


def _together(group: Sequence[Observation], name: str) -> int | None:
    """What is in the picture has a median (halves up) over time; what arrives has a sum."""
    values = sorted(one.counts[name] for one in group if one.counts is not None and name in one.counts)
    if len(values) < len(group):
        return None
    if group[0].semantics != "occupancy":
        return sum(values)
    low, high = values[(len(values) - 1) // 2], values[len(values) // 2]
    return (low + high + 1) // 2


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
