"""Reading: what the pages and the API ask of the database."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from trap_contract.errors import ConfigError
from trap_contract.messages import Birth, parse_message
from trap_contract.topics import TrapAddress

from trap_server import day, schema
from trap_server.answers import (
    DayTotals,
    IngestHealth,
    SummaryAnswer,
    TrapAnswer,
    WindowAnswer,
)
from trap_server.completeness import trap_states
from trap_server.newest import FUTURE_MS, traps_with_newest
from trap_server.trap_record import TrapRecord

DAY_MS = 24 * 3600 * 1000
INGEST_FRESH_MS = 30_000

_W = schema.windows.c
_ANSWER_COLUMNS = [_W[name] for name in WindowAnswer.model_fields]


def _of(address: TrapAddress) -> ColumnElement[bool]:
    return sa.and_(_W.tenant == address.tenant, _W.trap == address.trap)


def trap_records(
    connection: sa.Connection, after: TrapAddress | None = None, limit: int | None = None
) -> list[TrapRecord]:
    """Every trap that was ever seen, by name; of those beyond `after` at most `limit`."""
    name = (schema.traps.c.tenant, schema.traps.c.trap)
    query = sa.select(schema.traps).order_by(*name).limit(limit)
    if after is not None:
        query = query.where(sa.tuple_(*name) > sa.tuple_(after.tenant, after.trap))
    return [TrapRecord(**row) for row in connection.execute(query).mappings()]


def trap_record(connection: sa.Connection, address: TrapAddress) -> TrapRecord | None:
    """One trap, None when it was never seen."""
    c = schema.traps.c
    query = sa.select(schema.traps).where(c.tenant == address.tenant, c.trap == address.trap)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else TrapRecord(**row)


def known_trap(connection: sa.Connection, address: TrapAddress) -> TrapRecord:
    """One trap. Raises ConfigError when it was never seen."""
    record = trap_record(connection, address)
    if record is None:
        raise ConfigError(f"nothing has come from a trap {address.trap!r} of tenant {address.tenant!r}")
    return record


def births(connection: sa.Connection) -> Iterable[Birth]:
    """What each trap said of itself last."""
    told = connection.execute(sa.select(schema.traps.c.birth).where(schema.traps.c.birth.is_not(None))).scalars()
    return (parse_message(Birth, birth.encode()) for birth in told)


def trap_answer(connection: sa.Connection, record: TrapRecord, now_ms: int) -> TrapAnswer:
    """One trap, now and over the last 24 hours."""
    address = TrapAddress(record.tenant, record.trap)
    window = newest_window(connection, address, now_ms)
    is_blind = window is not None and window.counts is None
    return TrapAnswer.of(
        record,
        now_ms,
        complete_to_ms=trap_states(connection, now_ms, [address])[address].complete_to_ms,
        window=window,
        counted=newest_window(connection, address, now_ms, _W.frames_analysed > 0) if is_blind else window,
        day=DayTotals.model_validate(day.totals(observations(connection, address, now_ms - DAY_MS, now_ms))),
    )


def newest_window(
    connection: sa.Connection, address: TrapAddress, now_ms: int, *conditions: ColumnElement[bool]
) -> WindowAnswer | None:
    """The window that began last, of those that meet the conditions."""
    query = sa.select(*_ANSWER_COLUMNS).where(_of(address), _W.start_ms <= now_ms + FUTURE_MS, *conditions)
    row = connection.execute(query.order_by(_W.start_ms.desc(), _W.id.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else WindowAnswer.model_validate(dict(row))


def newest_id(connection: sa.Connection) -> int:
    """The id of the row committed last, 0 when there is none."""
    newest: int | None = connection.execute(sa.select(sa.func.max(_W.id))).scalar_one()
    return newest or 0


def windows_after(connection: sa.Connection, row_id: int, limit: int) -> list[WindowAnswer]:
    """Windows committed after the row `row_id`, in order of commit."""
    query = sa.select(*_ANSWER_COLUMNS).where(_W.id > row_id).order_by(_W.id).limit(limit)
    return [WindowAnswer.model_validate(dict(row)) for row in connection.execute(query).mappings()]


def windows_between(
    connection: sa.Connection, address: TrapAddress, since_ms: int, until_ms: int, *, after: tuple[int, int], limit: int
) -> list[WindowAnswer]:
    """Windows that began in `since_ms`..`until_ms` (the end excluded), beyond `after` = (start_ms, id)."""
    query = (
        sa.select(*_ANSWER_COLUMNS)
        .where(_of(address), _W.start_ms >= max(since_ms, after[0]), _W.start_ms < until_ms)
        .where(sa.or_(_W.start_ms > after[0], _W.id > after[1]))
        .order_by(_W.start_ms, _W.id)
        .limit(limit)
    )
    return [WindowAnswer.model_validate(dict(row)) for row in connection.execute(query).mappings()]


def observations(connection: sa.Connection, address: TrapAddress, since_ms: int, now_ms: int) -> list[day.Observation]:
    """The windows of a trap since `since_ms`, in order of time."""
    query = (
        sa.select(_W.start_ms, _W.start_ms + _W.duration_ms, _W.semantics, _W.counts, _W.observed_s)
        .where(_of(address), _W.start_ms >= since_ms, _W.start_ms <= now_ms + FUTURE_MS)
        .order_by(_W.start_ms)
    )
    return [day.Observation(*row) for row in connection.execute(query)]


def observations_between(
    connection: sa.Connection, address: TrapAddress, since_ms: int, until_ms: int
) -> list[day.Observation]:
    """The windows of a trap that began in `since_ms`..`until_ms`, with their corrected counts, in order of time."""
    query = (
        sa.select(_W.start_ms, _W.start_ms + _W.duration_ms, _W.semantics, _W.counts, _W.observed_s, _W.body)
        .where(_of(address), _W.start_ms >= since_ms, _W.start_ms < until_ms)
        .order_by(_W.start_ms)
    )
    return [
        day.Observation(start_ms, end_ms, semantics, counts, observed_s, _corrected(body))
        for start_ms, end_ms, semantics, counts, observed_s, body in connection.execute(query)
    ]


def only_model(connection: sa.Connection, address: TrapAddress, since_ms: int, until_ms: int) -> str | None:
    """The digest of the model that counted from `since_ms` to `until_ms`; None where several did, or none."""
    there = sa.and_(_of(address), _W.start_ms >= since_ms, _W.start_ms < until_ms, _W.counts.is_not(None))
    found = connection.execute(sa.select(_W.model_sha256).where(there).distinct().limit(2)).scalars().all()
    return found[0] if len(found) == 1 else None


def _corrected(body: str) -> dict[str, day.Interval] | None:
    found = json.loads(body).get("corrected") or {}
    return {name: (one["estimate"], one["low"], one["high"]) for name, one in found.items()} or None


def first_start_ms(connection: sa.Connection, address: TrapAddress) -> int | None:
    """When the trap's first window began."""
    first: int | None = connection.execute(sa.select(sa.func.min(_W.start_ms)).where(_of(address))).scalar_one()
    return first


@dataclass(frozen=True, slots=True)
class CollectorRecord:
    """One ingest process, as it last reported; the counters only grow."""

    name: str
    heartbeat_ms: int
    connected: bool
    stored: int
    duplicates: int
    collisions: int
    quarantined: int
    acknowledged: int
    batches: int
    batch_seconds: float

    def health(self, now_ms: int) -> IngestHealth:
        """Silent when the last heartbeat is old."""
        if now_ms - self.heartbeat_ms > INGEST_FRESH_MS:
            return "silent"
        return "connected" if self.connected else "disconnected"


def collectors(connection: sa.Connection) -> list[CollectorRecord]:
    """Every ingest process that ever wrote here."""
    return [CollectorRecord(**row) for row in connection.execute(sa.select(schema.collectors)).mappings()]


def ingest_health(records: Iterable[CollectorRecord], now_ms: int) -> IngestHealth:
    """The best of all collectors: one that works is enough."""
    found = {record.health(now_ms) for record in records}
    return next((health for health in ("connected", "disconnected") if health in found), "silent")


def summary(connection: sa.Connection, now_ms: int) -> SummaryAnswer:
    """The fleet in one look."""
    found = collectors(connection)
    records, newest = traps_with_newest(connection, now_ms)
    in_the_picture: Counter[str] = Counter()
    for address, window in newest.items():
        if records[address].status(now_ms) == "online" and window.semantics == "occupancy":
            in_the_picture.update(window.counts or {})
    return SummaryAnswer(
        traps=dict(Counter(record.status(now_ms) for record in records.values())),
        in_the_picture=dict(in_the_picture),
        windows_stored=sum(one.stored for one in found),
        collisions=sum(one.collisions for one in found),
        quarantined=sum(one.quarantined for one in found),
        ingest=ingest_health(found, now_ms),
    )
