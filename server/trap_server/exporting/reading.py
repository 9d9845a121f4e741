"""Rows from the database: windows as they are stored, and the hours and trap-nights that they add up to."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import sqlalchemy as sa

from trap_server import schema
from trap_server.exporting.rows import HOUR_MS, Places, Row, model_name, of_hour, of_night, statistic_of
from trap_server.newest import FUTURE_MS
from trap_server.nights import Deployment, Hour, add_tallies, night_of, trap_night

DAY_MS = 24 * HOUR_MS
FETCH = 1000
Period = Literal["window", "hour", "night"]
_W = schema.windows.c


@dataclass(frozen=True, slots=True)
class Selection:
    """Which counts to export; dates include both ends, and None is no limit.

    For trap-nights they are local dates of the evening, for hours and windows dates in UTC.
    """

    tenant: str | None = None
    trap: str | None = None
    since: dt.date | None = None
    until: dt.date | None = None

    def holds(self, day: dt.date) -> bool:
        """Whether a day is asked for."""
        return (self.since or dt.date.min) <= day <= (self.until or dt.date.max)

    def conditions(self, margin_days: int) -> Iterator[sa.ColumnElement[bool]]:
        """What the database has to meet; a night reaches into the days before and after its date."""
        if self.tenant is not None:
            yield _W.tenant == self.tenant
        if self.trap is not None:
            yield _W.trap == self.trap
        if self.since is not None:
            yield _W.start_ms >= _midnight_ms(self.since) - margin_days * DAY_MS
        if self.until is not None:
            yield _W.start_ms < _midnight_ms(self.until) + (1 + margin_days) * DAY_MS


def read_rows(
    connection: sa.Connection, period: Period, selection: Selection, places: Places, now_ms: int
) -> Iterator[Row]:
    """Rows of one kind by tenant, trap and time, no more than one night of one trap held at once.

    Windows from beyond now have a broken clock and are left out, as they are everywhere.
    """
    found = _windows(
        connection, [*selection.conditions(1 if period == "night" else 0), _W.start_ms <= now_ms + FUTURE_MS]
    )
    if period == "window":
        return found
    if period == "hour":
        return (of_hour(hour) for _, hours in _nights(found, places) for hour in hours)
    return (row for row in _night_rows(found, places) if row.night and selection.holds(row.night))


def _windows(connection: sa.Connection, conditions: Sequence[sa.ColumnElement[bool]]) -> Iterator[Row]:
    query = sa.select(schema.windows).where(*conditions).order_by(_W.tenant, _W.trap, _W.start_ms, _W.id)
    for found in connection.execution_options(yield_per=FETCH).execute(query).mappings():
        yield _window(dict(found))


def _window(found: dict[str, Any]) -> Row:
    return Row(
        tenant=found["tenant"],
        trap=found["trap"],
        site="",
        begins_ms=found["start_ms"],
        ends_ms=found["start_ms"] + found["duration_ms"],
        semantics=found["semantics"],
        counts=found["counts"],
        statistic=statistic_of(found["semantics"]),
        observed_s=found["observed_s"],
        models=(model_name(found["model_id"], found["model_sha256"]),),
        thresholds=(json.loads(found["body"])["model"]["threshold"],),
        clock_repaired=found["clock_method"] != "trusted",
    )


def _night_rows(windows: Iterable[Row], places: Places) -> Iterator[Row]:
    for place, hours in _nights(windows, places):
        for _, same in groupby(sorted(hours, key=lambda hour: hour.semantics), key=lambda hour: hour.semantics):
            yield replace(of_night(trap_night(list(same), place, lost_ms=0)), lost_s=None)


def _nights(windows: Iterable[Row], places: Places) -> Iterator[tuple[Deployment | None, list[Hour]]]:
    """The hours of each night of each trap; windows come by trap and time."""

    def night(row: Row) -> tuple[str, str, int | None, dt.date]:
        place = places.of(row)
        begin = None if place is None else place.begins_ms
        return row.tenant, row.trap, begin, night_of(row.begins_ms, place).date

    for (*_, date), group in groupby(windows, key=night):
        rows = list(group)
        place = places.of(rows[0])
        hours = groupby(sorted(rows, key=_hour_key), key=_hour_key)
        yield place, [_hour(list(same), place, date) for _, same in hours]


def _hour_key(row: Row) -> tuple[int, str]:
    return row.begins_ms // HOUR_MS, row.semantics


def _hour(rows: Sequence[Row], place: Deployment | None, night: dt.date) -> Hour:
    first = rows[0]
    counted = [row.counts for row in rows if row.counts is not None]
    return Hour(
        tenant=first.tenant,
        trap=first.trap,
        site=place.site if place else "",
        deployed_ms=place.begins_ms if place else None,
        night=night,
        hour_ms=first.begins_ms // HOUR_MS * HOUR_MS,
        semantics=first.semantics,
        windows=len(rows),
        counted=len(counted),
        observed_ms=round(sum(row.observed_s for row in rows) * 1000),
        tally=add_tallies({name: {count: 1} for name, count in counts.items()} for counts in counted),
        models=tuple(sorted({model for row in rows for model in row.models})),
        thresholds=tuple(sorted({one for row in rows for one in row.thresholds})),
        clock_repaired=any(row.clock_repaired for row in rows),
    )


def _midnight_ms(day: dt.date) -> int:
    return round(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp()) * 1000
