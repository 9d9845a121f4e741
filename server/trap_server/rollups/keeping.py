"""Roll-ups kept in step with the windows: an hour that changes is marked in the same transaction, and built anew.

Exact by construction: an hour is never added to, it is built again from its windows. Only what retention has aged out
is `sealed`, and stands beside what comes late.
"""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from trap_server import schema
from trap_server.bulk import chunks, insert_new, is_one_of, upsert
from trap_server.deployments import deployments
from trap_server.nights import Deployment, Hour, Tally, TrapNight, night_of
from trap_server.rollups.building import (
    CALENDAR_END_MS,
    HOUR_MS,
    Counted,
    HourKey,
    NightKey,
    Standing,
    build_hours,
    build_nights,
    night_key,
    stretches,
)
from trap_server.rollups.losing import lost_in, place_all

NOWHERE = -1
MOST_HOURS = 50  # of one transaction: no batch waits long for it
FETCH = 2000
_S, _H, _N, _W = schema.stale_hours.c, schema.hours.c, schema.nights.c, schema.windows.c


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What stale hours come to: their windows' parts of hours, and every night that they touch (None: it is gone)."""

    hours: list[Hour]
    nights: dict[NightKey, TrapNight | None]


def mark(connection: sa.Connection, hours: Iterable[HourKey]) -> None:
    """These hours' windows change in this transaction."""
    insert_new(connection, schema.stale_hours, ("tenant", "trap", "hour_ms"), sorted(set(hours)))


def refresh(connection: sa.Connection, limit: int = MOST_HOURS) -> int:
    """Build up to `limit` stale hours and their nights anew; returns how many hours."""
    query = sa.select(_S.tenant, _S.trap, _S.hour_ms).order_by(_S.hour_ms, _S.tenant, _S.trap).limit(limit)
    stale = [(tenant, trap, hour_ms) for tenant, trap, hour_ms in connection.execute(query)]
    if stale:
        build(connection, stale)
    return len(stale)


def build(connection: sa.Connection, stale: Sequence[HourKey]) -> None:
    """Build these hours and their nights, and call them stale no more."""
    before = _nights_of(connection, stale)
    _move_sealed(connection, stale)
    rebuilt = rebuild(connection, stale, before)
    for which in conditions(_H, stale):
        connection.execute(sa.delete(schema.hours).where(which, ~_H.sealed))
    keep(connection, rebuilt.hours, [night for night in rebuilt.nights.values() if night is not None])
    gone = [key for key, night in rebuilt.nights.items() if night is None]
    for tenant, trap, night, deployed_ms, semantics in gone:
        connection.execute(
            sa.delete(schema.nights).where(
                _N.tenant == tenant, _N.trap == trap, _N.night == night, _N.deployed_ms == _number(deployed_ms),
                _N.semantics == semantics,
            )
        )  # fmt: skip
    for which in conditions(_S, stale):
        connection.execute(sa.delete(schema.stale_hours).where(which))


def keep(connection: sa.Connection, hours: Iterable[Hour], nights: Iterable[TrapNight]) -> None:
    """Write them, in the place of those of the same keys."""
    upsert(connection, schema.hours, [hour_row(hour, sealed=False) for hour in hours])
    upsert(connection, schema.nights, [_night_row(night) for night in nights])


def rebuild(connection: sa.Connection, stale: Sequence[HourKey], more: Iterable[NightKey] = ()) -> Rebuilt:
    """What these hours and their nights are now, and `more` nights; nothing is written."""
    traps = sorted({(tenant, trap) for tenant, trap, _ in stale})
    standing = Standing(
        one for tenant, trap in traps for one in deployments(connection, tenant=tenant, trap=trap).values()
    )
    fresh = build_hours(chain(counted(connection, stale), lost_in(connection, stale)), standing)
    touched = {night_key(hour) for hour in fresh} | _nights_of(connection, stale) | set(more)
    others = list(_hours_of_nights(connection, touched, set(stale)))
    nights = build_nights([*fresh, *others], standing)
    return Rebuilt(fresh, {key: nights.get(key) for key in touched})


def _nights_of(connection: sa.Connection, hours: Sequence[HourKey]) -> set[NightKey]:
    """The nights that these hours were rolled up into."""
    columns = (_H.tenant, _H.trap, _H.night, _H.deployed_ms, _H.semantics)
    return {
        (tenant, trap, night, _begin(deployed_ms), semantics)
        for which in conditions(_H, hours)
        for tenant, trap, night, deployed_ms, semantics in connection.execute(sa.select(*columns).where(which))
    }


def start_anew(connection: sa.Connection) -> int:
    """Mark every hour that windows are there for, or were lost in; returns how many. `refresh` then builds them."""
    hour_ms = _W.start_ms - _W.start_ms % HOUR_MS
    found = connection.execute(sa.select(_W.tenant, _W.trap, hour_ms).distinct())
    hours = {(tenant, trap, hour) for tenant, trap, hour in found} | place_all(connection)
    mark(connection, hours)
    mark(connection, [tuple(row) for row in connection.execute(sa.select(_H.tenant, _H.trap, _H.hour_ms))])
    return len(hours)


def hour_row(hour: Hour, *, sealed: bool) -> dict[str, Any]:
    """As the table has it."""
    tally = {name: {str(count): times for count, times in counts.items()} for name, counts in hour.tally.items()}
    return hour._asdict() | _stored(hour) | {"tally": tally, "sealed": sealed}


def hours_in_order(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> Iterator[tuple[Hour, bool]]:
    """Hours that are kept, by trap and time, and whether each is sealed."""
    query = sa.select(*_HOUR_COLUMNS).where(*which).order_by(_H.tenant, _H.trap, _H.hour_ms)
    for row in connection.execute(query.execution_options(yield_per=FETCH)):
        yield _hour_of(row), row[-1]


def read_night(row: Any) -> TrapNight:
    """From the table."""
    values = {name: getattr(row, name) for name in TrapNight.__slots__} | {
        "night": dt.date.fromisoformat(row.night),
        "deployed_ms": _begin(row.deployed_ms),
        "models": tuple(row.models),
        "thresholds": tuple(row.thresholds),
    }
    return TrapNight(**values)


_TEXTS = {"tally", "models", "thresholds"}  # as JSON: most are like others, and read once
_HOUR_COLUMNS = [
    *(sa.cast(_H[name], sa.Text) if name in _TEXTS else _H[name] for name in Hour._fields),
    _H.sealed,
]


def _hour_of(row: Sequence[Any]) -> Hour:
    tenant, trap, site, deployed_ms, night, at_ms, how, windows, counted_, observed_ms, lost_ms, *texts = row
    tally, models, thresholds, repaired, _sealed = texts
    told = _tally(tally), _names(models), _names(thresholds), bool(repaired)
    numbers = windows, counted_, observed_ms, lost_ms
    return Hour(tenant, trap, site, _begin(deployed_ms), _date(night), at_ms, how, *numbers, *told)


_tally = lru_cache(maxsize=4096)(TypeAdapter(Tally).validator.validate_json)  # twice as fast as json and int()


@lru_cache(maxsize=4096)
def _names(text: str) -> tuple[Any, ...]:
    return tuple(json.loads(text))


_date = lru_cache(maxsize=4096)(dt.date.fromisoformat)


def _stored(one: Hour | TrapNight) -> dict[str, Any]:
    return {"night": one.night.isoformat(), "deployed_ms": _number(one.deployed_ms)}


def _night_row(night: TrapNight) -> dict[str, Any]:
    return {name: getattr(night, name) for name in TrapNight.__slots__} | _stored(night)


def _number(deployed_ms: int | None) -> int:
    return NOWHERE if deployed_ms is None else deployed_ms


def _begin(stored: int) -> int | None:
    return None if stored == NOWHERE else stored


def counted(connection: sa.Connection, hours: Sequence[HourKey], *more: sa.ColumnElement[bool]) -> Iterator[Counted]:
    """The windows of these hours, those that meet `more` conditions."""
    columns = (_W.tenant, _W.trap, _W.start_ms, _W.semantics, _W.counts, _W.observed_s)
    query = sa.select(*columns, _W.model_id, _W.model_sha256, _W.body, _W.clock_method)
    for tenant, trap, first_ms, end_ms in stretches(hours):
        which = (
            _W.tenant == tenant,
            _W.trap == trap,
            _W.start_ms >= first_ms,
            _W.start_ms < min(end_ms, CALENDAR_END_MS),
        )
        for row in connection.execute(query.where(*which, *more)):
            model = f"{row.model_id}@{row.model_sha256[:16]}"
            threshold = json.loads(row.body)["model"]["threshold"]
            yield Counted(*row[:6], model, threshold, row.clock_method != "trusted")


def conditions(columns: Any, hours: Sequence[HourKey]) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions that together mean these hours, a trap at a time."""
    by_trap: dict[tuple[str, str], list[int]] = defaultdict(list)
    for tenant, trap, hour_ms in hours:
        by_trap[(tenant, trap)].append(hour_ms)
    for (tenant, trap), found in by_trap.items():
        for part in chunks(found):
            yield sa.and_(columns.tenant == tenant, columns.trap == trap, columns.hour_ms.in_(part))


def _hours_of_nights(connection: sa.Connection, nights: Iterable[NightKey], stale: set[HourKey]) -> Iterator[Hour]:
    """What is kept of these nights and still holds: whole hours that are not stale, and sealed parts of any."""
    wanted = set(nights)
    dates = sorted({(tenant, trap, night) for tenant, trap, night, _, _ in wanted})
    if not dates:
        return
    for hour, sealed in hours_in_order(connection, is_one_of(connection, (_H.tenant, _H.trap, _H.night), dates)):
        if night_key(hour) in wanted and (sealed or (hour.tenant, hour.trap, hour.hour_ms) not in stale):
            yield hour


def _move_sealed(connection: sa.Connection, stale: Sequence[HourKey]) -> None:
    """Sealed hours go to the deployment that stands there now, as wholes: their windows are gone."""
    sealed = [hour for which in conditions(_H, stale) for hour, _ in hours_in_order(connection, which, _H.sealed)]
    for hour in sealed:
        standing = Standing(deployments(connection, tenant=hour.tenant, trap=hour.trap).values())
        place = standing.at(hour.tenant, hour.trap, hour.hour_ms)
        if (place.begins_ms if place else None) != hour.deployed_ms:
            _move(connection, hour, place)


def _move(connection: sa.Connection, hour: Hour, place: Deployment | None) -> None:
    old = hour_row(hour, sealed=True)
    key = [_H[column.name] == old[column.name] for column in schema.hours.primary_key]
    connection.execute(sa.delete(schema.hours).where(*key))
    moved = hour._replace(
        site=place.site if place else "",
        deployed_ms=place.begins_ms if place else None,
        night=night_of(hour.hour_ms, place).date,
    )
    upsert(connection, schema.hours, [hour_row(moved, sealed=True)])
