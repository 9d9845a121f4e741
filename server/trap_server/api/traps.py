"""Traps as they are now, their windows, and live events."""

from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Header, Query, Request
from sse_starlette import EventSourceResponse
from trap_contract.messages import MAX_SEQ
from trap_contract.topics import NAME_PATTERN, TrapAddress

from trap_server import day, queries
from trap_server.answers import (
    DayAnswer,
    DayTotals,
    GapAnswer,
    PointAnswer,
    SummaryAnswer,
    TrapAnswer,
    TrapsAnswer,
    WindowsAnswer,
)
from trap_server.api.access import Connection, Limit, Moment, NowMs, Trap
from trap_server.live import KINDS, Interest, Newsroom

HEARTBEAT_S = 15
GOODBYE_S = 1
ADDRESS = f"^{NAME_PATTERN}/{NAME_PATTERN}$"
AfterTrap = Annotated[str | None, Query(pattern=ADDRESS, description="next_cursor of the last page")]

router = APIRouter(prefix="/api/v1")


@router.get("/traps")
def traps(connection: Connection, now_ms: NowMs, cursor: AfterTrap = None, limit: Limit = 100) -> TrapsAnswer:
    """Traps by name, each now and over the last 24 hours."""
    after = None if cursor is None else TrapAddress(*cursor.split("/"))
    found = queries.trap_records(connection, after, limit)
    last = found[-1] if len(found) == limit else None
    return TrapsAnswer(
        traps=[queries.trap_answer(connection, record, now_ms) for record in found],
        next_cursor=f"{last.tenant}/{last.trap}" if last else None,
    )


@router.get("/traps/{tenant}/{trap}")
def one_trap(record: Trap, connection: Connection, now_ms: NowMs) -> TrapAnswer:
    """One trap, now and over the last 24 hours."""
    return queries.trap_answer(connection, record, now_ms)


@router.get("/traps/{tenant}/{trap}/windows")
def windows(
    *,
    record: Trap,
    connection: Connection,
    since: Moment = 0,
    until: Moment = MAX_SEQ,
    limit: Limit = 100,
    cursor: Annotated[str, Query(pattern=r"^\d{1,16}-\d{1,16}$", description="next_cursor of the last page")] = "0-0",
) -> WindowsAnswer:
    """Windows that began at `since` or later and before `until`, in order of time."""
    start_ms, row_id = (int(part) for part in cursor.split("-"))
    address = TrapAddress(record.tenant, record.trap)
    found = queries.windows_between(connection, address, since, until, after=(start_ms, row_id), limit=limit)
    last = found[-1] if len(found) == limit else None
    return WindowsAnswer(windows=found, next_cursor=f"{last.start_ms}-{last.id}" if last else None)


@router.get("/traps/{tenant}/{trap}/day")
def one_day(record: Trap, connection: Connection, now_ms: NowMs) -> DayAnswer:
    """The curve of the last 24 hours; where nothing was counted there is a gap, never a zero."""
    address = TrapAddress(record.tenant, record.trap)
    first_ms = queries.first_start_ms(connection, address)
    since_ms = max(now_ms - queries.DAY_MS, now_ms if first_ms is None else min(first_ms, now_ms))
    found = queries.observations(connection, address, since_ms, now_ms)
    points, step_ms = day.curve(found)
    return DayAnswer(
        tenant=record.tenant,
        trap=record.trap,
        since_ms=since_ms,
        until_ms=now_ms,
        semantics=found[-1].semantics if found else None,
        step_ms=step_ms,
        points=[PointAnswer.model_validate(point) for point in points],
        gaps=[GapAnswer.model_validate(gap) for gap in day.gaps(found, since_ms, now_ms)],
        totals=DayTotals.model_validate(day.totals(found)),
    )


@router.get("/summary")
def summary(connection: Connection, now_ms: NowMs) -> SummaryAnswer:
    """The fleet in one look."""
    return queries.summary(connection, now_ms)


def newsroom_of(request: Request) -> Newsroom:
    """The one look at the database that all open pages share."""
    newsroom: Newsroom = request.app.state.newsroom
    return newsroom


def read_interest(
    trap: Annotated[str | None, Query(pattern=ADDRESS, description="TENANT/TRAP alone")] = None,
    kinds: Annotated[str, Query(max_length=64, description="which events, joined by a comma")] = "window,trap,ingest",
) -> Interest:
    """What a page wants to hear of; kinds of event that are not known are never sent."""
    address = None if trap is None else TrapAddress(*trap.split("/"))
    return Interest(KINDS & set(kinds.split(",")), address)


@router.get("/events", response_class=EventSourceResponse)
async def events(
    newsroom: Annotated[Newsroom, Depends(newsroom_of)],
    interest: Annotated[Interest, Depends(read_interest)],
    after: Annotated[int | None, Query(ge=0, le=MAX_SEQ, description="id of the last window known")] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=MAX_SEQ)] = None,
) -> EventSourceResponse:
    """Server-Sent Events: `window` for each row committed, `trap` when a trap's state changes, `row` for the fleet,
    `picture` when one of a trap is stored.

    Resumes after `Last-Event-ID`, else after `after`, else begins now.
    """
    ending = anyio.Event()
    answer = newsroom.listen(interest, after if last_event_id is None else last_event_id, ending)
    return EventSourceResponse(answer, ping=HEARTBEAT_S, shutdown_event=ending, shutdown_grace_period=GOODBYE_S)
