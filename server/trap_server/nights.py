"""Trap-nights, as entomologists count them: where one begins and ends, and what its hours add up to; pure."""

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from astral import Observer
from astral.sun import noon as solar_noon
from trap_contract.errors import ConfigError
from trap_contract.messages import Semantics

COVERAGE_NEEDED = 0.8
DAY = dt.timedelta(days=1)
EVENING = dt.timedelta(hours=6)

Boundary = Literal["solar", "clock", "utc"]
Statistic = Literal["sum", "peak"]
Tally = dict[str, dict[int, int]]
"""By class: how many windows had each count."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One stay of one trap at one site, from `begins_ms` to `ends_ms` (None: it still stands).

    Raises ConfigError for half a position, one off the globe, an unknown timezone, or an end before the begin.
    """

    trap: str
    tenant: str
    site: str
    name: str
    latitude: float | None
    longitude: float | None
    timezone: str
    bait: str
    trap_type: str
    begins_ms: int
    ends_ms: int | None = None

    def __post_init__(self) -> None:
        place = f"deployment of {self.tenant}/{self.trap} at {self.site!r}"
        if (self.latitude is None) != (self.longitude is None):
            raise ConfigError(f"{place}: give latitude and longitude, or neither")
        if not (-90 <= (self.latitude or 0) <= 90 and -180 <= (self.longitude or 0) <= 180):
            raise ConfigError(f"{place}: latitude is -90 to 90, longitude -180 to 180 degrees")
        if self.ends_ms is not None and self.ends_ms <= self.begins_ms:
            raise ConfigError(f"{place} ends before it begins")
        if self.timezone:
            _zone(self.timezone, place)

    def holds(self, moment_ms: int) -> bool:
        """Whether the trap stood here then."""
        return self.begins_ms <= moment_ms < (math.inf if self.ends_ms is None else self.ends_ms)


@dataclass(frozen=True, slots=True)
class Night:
    """From noon to noon, named by the local date of its evening."""

    date: dt.date
    begins_ms: int
    ends_ms: int
    boundary: Boundary


class Hour(NamedTuple):
    """What one trap counted in one hour of one night: enough for exact sums and medians, and hours can be added.

    `deployed_ms` tells the deployment by its begin, None without one; `counted` are the windows that have counts;
    `lost_ms` is effort that was made and whose counts are gone for good, at most. A tuple, as a year has thousands.
    """

    tenant: str
    trap: str
    site: str
    deployed_ms: int | None
    night: dt.date
    hour_ms: int
    semantics: Semantics
    windows: int
    counted: int
    observed_ms: int
    lost_ms: int
    tally: Tally
    models: tuple[str, ...]
    thresholds: tuple[float, ...]
    clock_repaired: bool


@dataclass(frozen=True, slots=True)
class TrapNight:
    """One trap, one night, one way of counting.

    `counts` is None when nothing was counted, which is not zero. `statistic` says what they are: `sum` of arrivals or
    of catch; `peak`, for occupancy, which has no sum, is the largest of the hours' medians. `expected_s` is the part
    of the night in which the deployment stood (the whole night without one), `coverage` is observed / expected,
    `problem` that it is below 0.8. `lost_s` is effort that the trap said is gone for good, at most.
    """

    tenant: str
    trap: str
    site: str
    night: dt.date
    begins_ms: int
    ends_ms: int
    boundary: Boundary
    semantics: Semantics
    statistic: Statistic
    counts: dict[str, int] | None
    observed_s: float
    expected_s: float
    lost_s: float
    coverage: float
    problem: bool
    models: tuple[str, ...]
    thresholds: tuple[float, ...]
    clock_repaired: bool
    windows: int
    deployed_ms: int | None = None


def night_of(moment_ms: int, deployment: Deployment | None) -> Night:
    """The night that a moment belongs to: from solar noon, or the clock's noon without a position, or noon UTC."""
    day = _utc(moment_ms).date()
    noons = [_noon(_place(deployment), day + offset * DAY) for offset in (-2, -1, 0, 1, 2)]
    begins, ends = next((begin, end) for begin, end in pairwise(noons) if begin <= _utc(moment_ms) < end)
    return Night(_evening(begins, deployment), _ms(begins), _ms(ends), _boundary(deployment))


def night_at(date: dt.date, deployment: Deployment | None) -> Night:
    """The night of an evening's local date."""
    middle = dt.datetime.combine(date, dt.time(18), dt.UTC) - _ahead(date, deployment)
    near = [night_of(_ms(middle + shift * DAY), deployment) for shift in (0, -1, 1)]
    return next((night for night in near if night.date == date), near[0])  # a wrong timezone may be a day off


def trap_night(
    hours: Sequence[Hour], deployment: Deployment | None, coverage_needed: float = COVERAGE_NEEDED
) -> TrapNight:
    """Add up the hours, at least one, of one trap, deployment, night and semantics."""
    first = hours[0]
    night = night_at(first.night, deployment)
    begins_ms, ends_ms = _clipped(night, deployment)
    expected_s = (ends_ms - begins_ms) / 1000
    observed_s = sum(hour.observed_ms for hour in hours) / 1000
    coverage = min(1.0, observed_s / expected_s) if expected_s else 0.0
    return TrapNight(
        tenant=first.tenant,
        trap=first.trap,
        site=first.site,
        night=first.night,
        begins_ms=night.begins_ms,
        ends_ms=night.ends_ms,
        boundary=night.boundary,
        semantics=first.semantics,
        statistic="peak" if first.semantics == "occupancy" else "sum",
        counts=_counts(hours) if any(hour.counted for hour in hours) else None,
        observed_s=observed_s,
        expected_s=expected_s,
        lost_s=sum(hour.lost_ms for hour in hours) / 1000,
        coverage=coverage,
        problem=coverage < coverage_needed,
        models=tuple(sorted({model for hour in hours for model in hour.models})),
        thresholds=tuple(sorted({threshold for hour in hours for threshold in hour.thresholds})),
        clock_repaired=any(hour.clock_repaired for hour in hours),
        windows=sum(hour.windows for hour in hours),
        deployed_ms=first.deployed_ms,
    )


def hour_counts(hour: Hour) -> dict[str, int] | None:
    """The hour's number by class: median of occupancy, halves rounded up; sum of the others; None if none counted."""
    if not hour.counted:
        return None
    together = _median if hour.semantics == "occupancy" else _sum
    return {name: together(counts) for name, counts in sorted(hour.tally.items())}


def add_tallies(tallies: Iterable[Tally]) -> Tally:
    """One tally of many."""
    added: dict[str, Counter[int]] = {}
    for tally in tallies:
        for name, counts in tally.items():
            added.setdefault(name, Counter()).update(counts)
    return {name: dict(sorted(counts.items())) for name, counts in sorted(added.items())}


def _counts(hours: Sequence[Hour]) -> dict[str, int]:
    by_class: dict[str, list[int]] = {}
    for hour in hours:
        for name, count in (hour_counts(hour) or {}).items():
            by_class.setdefault(name, []).append(count)
    together = max if hours[0].semantics == "occupancy" else sum
    return {name: together(counts) for name, counts in sorted(by_class.items())}


def _sum(counts: dict[int, int]) -> int:
    return sum(count * times for count, times in counts.items())


def _median(counts: dict[int, int]) -> int:
    """Halves are rounded up."""
    total = sum(counts.values())
    return (_ranked(counts, (total - 1) // 2) + _ranked(counts, total // 2) + 1) // 2


def _ranked(counts: dict[int, int], rank: int) -> int:
    """The count at this place, from 0, of all windows in ascending order."""
    passed = 0
    for count, times in sorted(counts.items()):
        passed += times
        if passed > rank:
            return count
    raise ValueError(f"{passed} windows have no place {rank}")


def _clipped(night: Night, deployment: Deployment | None) -> tuple[int, int]:
    if deployment is None:
        return night.begins_ms, night.ends_ms
    ends_ms = night.ends_ms if deployment.ends_ms is None else min(night.ends_ms, deployment.ends_ms)
    return max(night.begins_ms, deployment.begins_ms), ends_ms


_Place = tuple[float | None, str]


def _place(deployment: Deployment | None) -> _Place:
    return (None, "") if deployment is None else (deployment.longitude, deployment.timezone)


def _boundary(deployment: Deployment | None) -> Boundary:
    longitude, timezone = _place(deployment)
    return "solar" if longitude is not None else "clock" if timezone else "utc"


@lru_cache(maxsize=4096)
def _noon(place: _Place, date: dt.date) -> dt.datetime:
    longitude, timezone = place
    if longitude is not None:  # the latitude does not move the noon
        return solar_noon(Observer(0.0, longitude), date)
    zone = _zone(timezone) if timezone else dt.UTC
    return dt.datetime.combine(date, dt.time(12), zone).astimezone(dt.UTC)


def _evening(begins: dt.datetime, deployment: Deployment | None) -> dt.date:
    """The local date six hours after noon: by the timezone, or where none is told by the sun."""
    evening = begins + EVENING
    longitude, timezone = _place(deployment)
    if timezone:
        return evening.astimezone(_zone(timezone)).date()
    return (evening + _by_sun(longitude)).date()


def _ahead(date: dt.date, deployment: Deployment | None) -> dt.timedelta:
    """How far local time is ahead of UTC on that evening."""
    longitude, timezone = _place(deployment)
    if not timezone:
        return _by_sun(longitude)
    evening = dt.datetime.combine(date, dt.time(18), _zone(timezone))
    return evening.utcoffset() or dt.timedelta()


def _by_sun(longitude: float | None) -> dt.timedelta:
    return dt.timedelta(hours=(longitude or 0.0) / 15)


def _zone(name: str, place: str = "") -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"{place}: there is no timezone {name!r}; write one like Africa/Nairobi") from error


def _utc(moment_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment_ms // 1000, dt.UTC)


def _ms(moment: dt.datetime) -> int:
    return round(moment.timestamp()) * 1000
