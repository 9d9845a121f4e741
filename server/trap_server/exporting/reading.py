"""Rows from the database: windows as they are stored, and the hours and trap-nights that they add up to."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from trap_server import schema
from trap_server.exporting.rows import HOUR_MS, Row, model_name, of_hour, of_night, statistic_of
from trap_server.newest import FUTURE_MS
from trap_server.rollups import reading as rollups

DAY_MS = 24 * HOUR_MS
FETCH = 1000
Period = Literal["window", "hour", "night"]
_W = schema.windows.c


@dataclass(frozen=True, slots=True)
class Selection:
    """Which counts to export; dates include both ends, and None is no limit.

    For trap-nights they are local dates of the evening, for hours and windows dates in UTC. Hours and nights begin at
    `at_trap`, tenant and trap, where that is given.
    """

    tenant: str | None = None
    trap: str | None = None
    since: dt.date | None = None
    until: dt.date | None = None
    at_trap: tuple[str, str] | None = None

    def asked(self, now_ms: int) -> rollups.Asked:
        """The same of roll-ups."""
        return rollups.Asked(
            tenant=self.tenant,
            trap=self.trap,
            at_trap=self.at_trap,
            since_ms=_midnight_ms(self.since) if self.since else 0,
            until_ms=min(now_ms + FUTURE_MS, _midnight_ms(self.until) + DAY_MS if self.until else now_ms + FUTURE_MS),
            since=self.since.isoformat() if self.since else rollups.FIRST,
            until=self.until.isoformat() if self.until else rollups.LAST,
        )

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        """What a window has to meet."""
        if self.tenant is not None:
            yield _W.tenant == self.tenant
        if self.trap is not None:
            yield _W.trap == self.trap
        if self.since is not None:
            yield _W.start_ms >= _midnight_ms(self.since)
        if self.until is not None:
            yield _W.start_ms < _midnight_ms(self.until) + DAY_MS


def read_rows(connection: sa.Connection, period: Period, selection: Selection, now_ms: int) -> Iterator[Row]:
    """Rows of one kind by tenant, trap and time; hours and nights from their roll-ups.

    What begins beyond now has a broken clock and is left out, as it is everywhere.
    """
    if period == "window":
        return _windows(connection, [*selection.conditions(), _W.start_ms <= now_ms + FUTURE_MS])
    asked = selection.asked(now_ms)
    if period == "hour":
        return map(of_hour, rollups.hours(connection, asked))
    found = rollups.nights(connection, asked)
    return (of_night(night) for night in found if night.begins_ms <= now_ms + FUTURE_MS)


def _windows(connection: sa.Connection, conditions: Sequence[sa.ColumnElement[bool]]) -> Iterator[Row]:
    query = sa.select(schema.windows).where(*conditions).order_by(_W.tenant, _W.trap, _W.start_ms, _W.id)
    for found in connection.execute(query.execution_options(yield_per=FETCH)).mappings():
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


def _midnight_ms(day: dt.date) -> int:
    return round(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp()) * 1000
