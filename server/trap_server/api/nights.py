"""Trap-nights and hours of many traps, with their effort."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query
from trap_contract.topics import NAME_PATTERN

from trap_server.answers import RowAnswer, RowsAnswer
from trap_server.api.access import Connection, Date, Limit, NameText, NowMs
from trap_server.deployments import deployments
from trap_server.exporting.reading import Period, Selection, read_rows
from trap_server.exporting.rows import Places, Row
from trap_server.review import labels
from trap_server.review.field_error import FieldError, Interval

FEMALE, MALE = "Female", "Male"
DIGEST = 16
CURSOR = rf"^{NAME_PATTERN}:{NAME_PATTERN}:\d{{1,16}}$"

router = APIRouter(prefix="/api/v1")

Cursor = Annotated[str | None, Query(pattern=CURSOR, description="next_cursor of the last page")]


def selection(
    since: Date = None, until: Date = None, tenant: NameText | None = None, trap: NameText | None = None
) -> Selection:
    """What is asked for; 422 for an end before its begin."""
    if since and until and since > until:
        raise HTTPException(422, "until is before since")
    return Selection(tenant, trap, since, until)


Asked = Annotated[Selection, Depends(selection)]


@router.get("/nights")
def nights(
    *, connection: Connection, now_ms: NowMs, asked: Asked, limit: Limit = 1000, cursor: Cursor = None
) -> RowsAnswer:
    """Trap-nights, from noon to noon, by trap and date."""
    return _answer(connection, "night", asked, now_ms=now_ms, limit=limit, cursor=cursor)


@router.get("/hours")
def hours(
    *, connection: Connection, now_ms: NowMs, asked: Asked, limit: Limit = 1000, cursor: Cursor = None
) -> RowsAnswer:
    """Hours by trap and time."""
    return _answer(connection, "hour", asked, now_ms=now_ms, limit=limit, cursor=cursor)


def _answer(
    connection: Connection, period: Period, asked: Selection, *, now_ms: int, limit: int, cursor: str | None
) -> RowsAnswer:
    places = Places(list(deployments(connection).values()))
    if cursor is not None:
        tenant, trap, _ = cursor.split(":")
        asked = replace(asked, at_trap=(tenant, trap))
    rows = read_rows(connection, period, asked, now_ms)
    found = list(islice(_behind(rows, cursor), limit))
    last = found[-1] if len(found) == limit else None
    next_cursor = f"{last.tenant}:{last.trap}:{last.begins_ms}" if last else None
    errors = _errors(connection)
    return RowsAnswer(rows=[_row(row, places, errors) for row in found], next_cursor=next_cursor)


def _errors(connection: Connection) -> dict[str, FieldError]:
    """What is known from the field of each model, by the end of its name in rows."""
    return {model[:DIGEST]: labels.field_error(connection, model) for model in labels.models(connection)}


def _corrected(row: Row, errors: dict[str, FieldError]) -> dict[str, Interval] | None:
    """A catch of one model that is known; what is in the picture at once has other errors than what is caught."""
    if not row.is_catch or row.counts is None or len(row.models) != 1:
        return None
    error = errors.get(row.models[0].rsplit("@", 1)[-1])
    return None if error is None else error.correct(row.counts)


def _behind(rows: Iterator[Row], cursor: str | None) -> Iterator[Row]:
    if cursor is None:
        return rows
    tenant, trap, begins = cursor.split(":")
    place = (tenant, trap, int(begins))
    return (row for row in rows if (row.tenant, row.trap, row.begins_ms) > place)


def _row(row: Row, places: Places, errors: dict[str, FieldError]) -> RowAnswer:
    place = places.of(row)
    counts = row.counts
    return RowAnswer(
        tenant=row.tenant,
        trap=row.trap,
        site=row.site or (place.site if place else ""),
        name=place.name if place else "",
        timezone=place.timezone if place else "",
        night=row.night.isoformat() if row.night else None,
        begins_ms=row.begins_ms,
        ends_ms=row.ends_ms,
        semantics=row.semantics,
        statistic=row.statistic,
        counts=counts,
        females=counts.get(FEMALE) if counts else None,
        males=counts.get(MALE) if counts else None,
        corrected=_corrected(row, errors),
        observed_s=row.observed_s,
        expected_s=row.expected_s,
        lost_s=row.lost_s,
        coverage=row.coverage,
        problem=row.problem,
        clock_repaired=row.clock_repaired,
        models=row.models,
        thresholds=row.thresholds,
        windows=row.windows,
    )
