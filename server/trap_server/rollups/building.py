"""Hours and nights from nothing but windows: what everything kept must equal; pure."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from trap_contract.messages import Semantics

from trap_server.nights import Deployment, Hour, Night, TrapNight, add_tallies, night_of, trap_night

HOUR_MS = 3_600_000
CALENDAR_END_MS = 253_000_000_000_000  # the year 9987: what a broken clock dates later is on no night

HourKey = tuple[str, str, int]
"""Tenant, trap, begin of the hour in ms."""

NightKey = tuple[str, str, str, int | None, Semantics]
"""Tenant, trap, night in ISO 8601, begin of the deployment, semantics."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a roll-up needs of a window; `counts` is None when no frame was analysed."""

    tenant: str
    trap: str
    start_ms: int
    semantics: Semantics
    counts: dict[str, int] | None
    observed_s: float
    model: str
    threshold: float
    repaired: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """Effort that was made here, and whose counts are gone for good."""

    tenant: str
    trap: str
    start_ms: int
    semantics: Semantics
    lost_ms: int


class Standing:
    """Where each trap stood when."""

    def __init__(self, deployments: Iterable[Deployment]) -> None:
        self._by_trap: dict[tuple[str, str], list[Deployment]] = {}
        for one in deployments:
            self._by_trap.setdefault((one.tenant, one.trap), []).append(one)

    def at(self, tenant: str, trap: str, moment_ms: int) -> Deployment | None:
        """The deployment of that moment; None when the trap stood nowhere."""
        return next((one for one in self._by_trap.get((tenant, trap), ()) if one.holds(moment_ms)), None)

    def begun(self, tenant: str, trap: str, begins_ms: int | None) -> Deployment | None:
        """The deployment that began then."""
        return next((one for one in self._by_trap.get((tenant, trap), ()) if one.begins_ms == begins_ms), None)


def build_hours(windows: Iterable[Counted | Lost], standing: Standing) -> list[Hour]:
    """One for each trap, hour, night (noon parts an hour), deployment and way of counting; any order goes in."""
    groups: dict[tuple[object, ...], tuple[Deployment | None, Night, list[Counted | Lost]]] = {}
    for one in windows:
        place = standing.at(one.tenant, one.trap, one.start_ms)
        night = night_of(one.start_ms, place)
        key = (one.tenant, one.trap, one.start_ms // HOUR_MS, night.begins_ms, place, one.semantics)
        groups.setdefault(key, (place, night, []))[2].append(one)
    return joined_hours(_hour(found, place, night.date) for place, night, found in groups.values())


def build_nights(hours: Iterable[Hour], standing: Standing) -> dict[NightKey, TrapNight]:
    """The trap-nights that these hours make."""
    by_night: dict[NightKey, list[Hour]] = {}
    for hour in joined_hours(hours):
        by_night.setdefault(night_key(hour), []).append(hour)
    return {key: trap_night(found, standing.begun(key[0], key[1], key[3])) for key, found in by_night.items()}


def night_key(one: Hour | TrapNight) -> NightKey:
    """The night that an hour belongs to, or that this is."""
    return one.tenant, one.trap, one.night.isoformat(), one.deployed_ms, one.semantics


def joined_hours(hours: Iterable[Hour]) -> list[Hour]:
    """Parts of one hour (of windows that are there, and of some that are gone) made one; ascending."""

    def key(one: Hour) -> tuple[str, str, int, str, int, str]:
        deployed_ms = -1 if one.deployed_ms is None else one.deployed_ms
        return one.tenant, one.trap, one.hour_ms, one.night.isoformat(), deployed_ms, one.semantics

    return [_joined(list(group)) for _, group in groupby(sorted(hours, key=key), key=key)]


def stretches(hours: Sequence[HourKey]) -> Iterator[tuple[str, str, int, int]]:
    """Hours of a trap that follow one another, as one stretch."""
    last: tuple[str, str, int, int] | None = None
    for tenant, trap, hour_ms in sorted(hours):
        if last is not None and last[:2] == (tenant, trap) and last[3] == hour_ms:
            last = (tenant, trap, last[2], hour_ms + HOUR_MS)
            continue
        if last is not None:
            yield last
        last = (tenant, trap, hour_ms, hour_ms + HOUR_MS)
    if last is not None:
        yield last


def _joined(parts: Sequence[Hour]) -> Hour:
    if len(parts) == 1:
        return parts[0]
    return parts[0]._replace(
        windows=sum(one.windows for one in parts),
        counted=sum(one.counted for one in parts),
        observed_ms=sum(one.observed_ms for one in parts),
        lost_ms=sum(one.lost_ms for one in parts),
        tally=add_tallies(one.tally for one in parts),
        models=tuple(sorted({model for one in parts for model in one.models})),
        thresholds=tuple(sorted({threshold for one in parts for threshold in one.thresholds})),
        clock_repaired=any(one.clock_repaired for one in parts),
    )


def _hour(found: Sequence[Counted | Lost], place: Deployment | None, night: dt.date) -> Hour:
    first = found[0]
    windows = [one for one in found if isinstance(one, Counted)]
    counted = [one.counts for one in windows if one.counts is not None]
    return Hour(
        tenant=first.tenant,
        trap=first.trap,
        site=place.site if place else "",
        deployed_ms=place.begins_ms if place else None,
        night=night,
        hour_ms=first.start_ms // HOUR_MS * HOUR_MS,
        semantics=first.semantics,
        windows=len(windows),
        counted=len(counted),
        observed_ms=sum(round(one.observed_s * 1000) for one in windows),
        lost_ms=sum(one.lost_ms for one in found if isinstance(one, Lost)),
        tally=add_tallies({name: {count: 1} for name, count in counts.items()} for counts in counted),
        models=tuple(sorted({one.model for one in windows})),
        thresholds=tuple(sorted({one.threshold for one in windows})),
        clock_repaired=any(one.repaired for one in windows),
    )
