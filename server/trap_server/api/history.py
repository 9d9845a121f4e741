"""A trap over time: its curve, its health; and the nights and hours of many traps."""

import json
from dataclasses import replace
from itertools import islice
from typing import Annotated, Literal

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Query
from trap_contract.topics import TrapAddress

from trap_server import day, queries, schema
from trap_server.answers import (
    CurveAnswer,
    DayTotals,
    GapAnswer,
    HealthAnswer,
    HealthPoint,
    StretchAnswer,
)
from trap_server.api.access import Connection, Moment, NowMs, Trap
from trap_server.review import labels

LONGEST_MS = 32 * queries.DAY_MS

router = APIRouter(prefix="/api/v1")


@router.get("/traps/{tenant}/{trap}/curve")
def curve(
    *,
    record: Trap,
    connection: Connection,
    now_ms: NowMs,
    since: Moment,
    until: Moment,
    step: Annotated[
        int, Query(ge=60_000, le=queries.DAY_MS, description="milliseconds that are drawn together")
    ] = 600_000,
) -> CurveAnswer:
    """Counts, effort and gaps from `since` to `until`, at most 32 days."""
    if not 0 < until - since <= LONGEST_MS:
        raise HTTPException(422, "until is not within 32 days after since; ask for nights instead")
    address = TrapAddress(record.tenant, record.trap)
    found = queries.observations_between(connection, address, since, until)
    first_ms = queries.first_start_ms(connection, address)
    model = queries.only_model(connection, address, since, until)
    stretches, corrected, correction = _corrected(connection, model, day.stretches(found, step), found)
    begin_ms, end_ms = _watched_from(found, max(since, first_ms or 0)), max(since, min(until, now_ms))
    return CurveAnswer(
        since_ms=since,
        until_ms=until,
        first_ms=first_ms,
        step_ms=step,
        semantics=found[-1].semantics if found else None,
        stretches=[StretchAnswer.model_validate(one) for one in stretches],
        gaps=[GapAnswer.model_validate(gap) for gap in day.gaps(found, begin_ms, end_ms)],
        totals=DayTotals.model_validate(day.totals(found)),
        corrected=corrected,
        correction=correction,
    )


def _watched_from(found: list[day.Observation], since_ms: int) -> int:
    """Where gaps may begin: a window that began before `since_ms` reaches up to the first one behind it."""
    if found and found[0].start_ms - since_ms < found[0].end_ms - found[0].start_ms:
        return found[0].start_ms
    return since_ms


def _corrected(
    connection: Connection, model: str | None, stretches: list[day.Stretch], found: list[day.Observation]
) -> tuple[list[day.Stretch], dict[str, day.Interval] | None, Literal["field", "model"] | None]:
    """Corrected by labels from the field where there are enough, else as the trap corrected by its bundle."""
    caught = day.totals(found).caught
    if caught is not None and model is not None:
        error = labels.field_error(connection, model)
        total = error.correct(caught)
        if total is not None:
            return [replace(one, corrected=error.correct(one.counts)) for one in stretches], total, "field"
    told = day.corrected_sum(found) if found else None
    return stretches, told, "model" if told else None


@router.get("/traps/{tenant}/{trap}/health")
def health(
    *,
    record: Trap,
    connection: Connection,
    since: Moment,
    until: Moment,
    most: Annotated[int, Query(ge=1, le=2000)] = 300,
) -> HealthAnswer:
    """What the board said of itself from `since` to `until`, evenly thinned."""
    c = schema.health.c
    query = (
        sa.select(c.received_at_ms, c.body)
        .where(c.tenant == record.tenant, c.trap == record.trap, c.received_at_ms >= since, c.received_at_ms < until)
        .order_by(c.received_at_ms)
    )
    found = connection.execute(query).all()
    step = max(1, -(-len(found) // most))
    thinned = islice(found, (len(found) - 1) % step, None, step)  # the newest always among them
    points = [HealthPoint(**{**json.loads(body), "received_at_ms": received}) for received, body in thinned]
    return HealthAnswer(reports=len(found), points=points)
