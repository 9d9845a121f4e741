"""Hours and nights as they are at this moment: what is kept, and what is stale built on the spot."""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from trap_server import schema
from trap_server.nights import Hour, TrapNight
from trap_server.rollups.building import HOUR_MS, HourKey, NightKey, joined_hours, night_key
from trap_server.rollups.keeping import hours_in_order, read_night, rebuild

FETCH = 2000
DAY_MS = 24 * HOUR_MS
FIRST, LAST = "", "9999"  # dates before and after all others
_S, _H, _N = schema.stale_hours.c, schema.hours.c, schema.nights.c

NightPlace = tuple[str, str, str, int, str]
"""Night, tenant, trap, begin of the deployment or -1, semantics: the order of nights by date."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which traps, those from `at_trap` on, and when: `since_ms` to before `until_ms` for hours, dates for nights."""

    tenant: str | None = None
    trap: str | None = None
    since_ms: int = 0
    until_ms: int = 2**53
    since: str = FIRST
    until: str = LAST
    at_trap: tuple[str, str] | None = None


def hours(connection: sa.Connection, asked: Asked) -> Iterator[Hour]:
    """By trap and time."""
    stale = _stale(connection, asked, asked.since_ms, asked.until_ms)
    fresh = rebuild(connection, stale).hours if stale else []
    known = set(stale)
    span = (_H.hour_ms >= asked.since_ms, _H.hour_ms < asked.until_ms)
    kept = (
        hour
        for hour, sealed in hours_in_order(connection, *_of(_H, asked), *span)
        if sealed or not known or (hour.tenant, hour.trap, hour.hour_ms) not in known
    )
    yield from _by_hour(kept, fresh)


def nights(connection: sa.Connection, asked: Asked) -> Iterator[TrapNight]:
    """By trap and date."""
    changed = _changed(connection, asked)
    query = (
        sa.select(schema.nights)
        .where(*_of(_N, asked), *_dates(asked))
        .order_by(_N.tenant, _N.trap, _N.night, _N.deployed_ms, _N.semantics)
    )
    rows = connection.execute(query.execution_options(yield_per=FETCH))
    kept = (night for night in map(read_night, rows) if night_key(night) not in changed)
    fresh = sorted((one for one in changed.values() if one is not None), key=_by_trap)
    yield from merge(kept, fresh, key=_by_trap)


def place_of(night: TrapNight) -> NightPlace:
    """Where a night stands among all."""
    deployed_ms = -1 if night.deployed_ms is None else night.deployed_ms
    return night.night.isoformat(), night.tenant, night.trap, deployed_ms, night.semantics


def _changed(connection: sa.Connection, asked: Asked) -> dict[NightKey, TrapNight | None]:
    """Nights that stale hours touch, as they are now."""
    stale = _stale(connection, asked, 0, 2**53)
    found = rebuild(connection, stale).nights if stale else {}
    return {key: night for key, night in found.items() if asked.since <= key[2] <= asked.until}


def _stale(connection: sa.Connection, asked: Asked, since_ms: int, until_ms: int) -> list[HourKey]:
    query = sa.select(_S.tenant, _S.trap, _S.hour_ms).where(
        *_of(_S, asked), _S.hour_ms >= since_ms, _S.hour_ms < until_ms
    )
    return [(tenant, trap, hour_ms) for tenant, trap, hour_ms in connection.execute(query)]


def _of(columns: Any, asked: Asked) -> Iterator[sa.ColumnElement[bool]]:
    if asked.tenant is not None:
        yield columns.tenant == asked.tenant
    if asked.trap is not None:
        yield columns.trap == asked.trap
    if asked.at_trap is not None:
        yield sa.tuple_(columns.tenant, columns.trap) >= sa.tuple_(*map(sa.literal, asked.at_trap))


def _dates(asked: Asked) -> Iterator[sa.ColumnElement[bool]]:
    if asked.since == asked.until:
        yield _N.night == asked.since
    elif (asked.since, asked.until) != (FIRST, LAST):  # a bound would have SQLite take all by date, and sort
        yield _N.night.between(asked.since, asked.until)


def _of_hour(hour: Hour) -> tuple[str, str, int]:
    return hour.tenant, hour.trap, hour.hour_ms


def _by_trap(night: TrapNight) -> tuple[object, ...]:
    night_, tenant, trap, deployed_ms, semantics = place_of(night)
    return tenant, trap, night_, deployed_ms, semantics


def _by_hour(kept: Iterator[Hour], fresh: list[Hour]) -> Iterator[Hour]:
    """In order, parts of one hour joined; `kept` comes in order and is never held whole."""
    whole = merge(kept, sorted(fresh, key=_of_hour), key=_of_hour) if fresh else kept
    for _, group in groupby(whole, key=_of_hour):
        parts = list(group)
        yield from parts if len(parts) == 1 else joined_hours(parts)
