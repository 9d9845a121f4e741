"""Facts for the rules, from the database."""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.alerting.rules import Facts
from trap_server.exporting.reading import Selection, read_rows
from trap_server.exporting.rows import Row, utc
from trap_server.queries import trap_records
from trap_server.trap_record import TrapRecord

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LATE_MS = 15 * 60_000  # what comes later after its end is a replay
SKEW_MS = 5 * 60_000
SEASON = dt.timedelta(days=60)
SCORES_MS = 8 * DAY_MS
HEALTH_ROWS = 500

_W = schema.windows.c
_H = schema.health.c


@dataclass(frozen=True, slots=True)
class Past:
    """What changes slowly: catches of nights, the last one fresh; scores of the last day and of the week before."""

    nights: Sequence[float] = ()
    scores: Sequence[float] = ()
    scores_before: Sequence[float] = ()


@dataclass(slots=True)
class Memory:
    """The past of each trap, read anew on every hour."""

    _known: dict[TrapAddress, tuple[int, Past]] = field(default_factory=dict)

    def of(self, connection: sa.Connection, address: TrapAddress, now_ms: int) -> Past:
        """The trap's past."""
        hour, past = self._known.get(address, (None, Past()))
        if hour != now_ms // HOUR_MS:
            past = _past(connection, address, now_ms)
            self._known[address] = now_ms // HOUR_MS, past
        return past


def gather(connection: sa.Connection, memory: Memory, now_ms: int) -> Iterator[Facts]:
    """The facts of every trap that was ever seen."""
    fresh = _fresh(connection, now_ms)
    for record in trap_records(connection):
        yield _facts(connection, record, fresh[TrapAddress(record.tenant, record.trap)], memory, now_ms)


def _facts(connection: sa.Connection, record: TrapRecord, windows: list[Any], memory: Memory, now_ms: int) -> Facts:
    address = TrapAddress(record.tenant, record.trap)
    health = _health(connection, address, now_ms - HOUR_MS, now_ms)
    newest = health[0] if health else (None, {})
    past = memory.of(connection, address, now_ms)
    due_s = sum(one.duration_ms for one in windows) / 1000
    return Facts(
        record.tenant,
        record.trap,
        record.status(now_ms),
        coverage=sum(one.observed_s for one in windows) / due_s if due_s else None,
        count=_count(windows),
        clock_synced=_clock(newest, windows),
        soc_celsius=newest[1].get("soc_celsius"),
        disk_free_mb=newest[1].get("disk_free_mb"),
        outbox_on_disk=newest[1].get("outbox_on_disk"),
        sharpness=_sharpness(health),
        sharpness_before=_sharpness(_health(connection, address, now_ms - SCORES_MS, now_ms - DAY_MS)),
        nights=past.nights,
        scores=past.scores,
        scores_before=past.scores_before,
    )


def _fresh(connection: sa.Connection, now_ms: int) -> defaultdict[TrapAddress, list[Any]]:
    """Windows by trap that ended in the last hour and came in time, newest first; ids grow as windows come."""
    columns = (_W.received_at_ms, _W.wall_ms, _W.duration_ms, _W.clock_synced, _W.semantics, _W.counts, _W.observed_s)
    query = sa.select(_W.tenant, _W.trap, *columns).order_by(_W.id.desc())
    found: defaultdict[TrapAddress, list[Any]] = defaultdict(list)
    with connection.execute(query.execution_options(yield_per=1000)) as rows:
        for row in rows:
            if row.received_at_ms < now_ms - HOUR_MS - LATE_MS:
                break
            if abs(row.received_at_ms - row.wall_ms - row.duration_ms) <= LATE_MS:
                found[TrapAddress(row.tenant, row.trap)].append(row)
    return found


def _count(windows: Sequence[Any]) -> float | None:
    """Caught in the last hour, or in the picture at once; None when nothing was counted."""
    sums = [(one.semantics, sum(one.counts.values())) for one in windows if one.counts is not None]
    if not sums:
        return None
    caught = [count for semantics, count in sums if semantics != "occupancy"]
    return float(sum(caught) if caught else max(count for _, count in sums))


_Reading = tuple[int | None, dict[str, Any]]


def _clock(newest: _Reading, windows: Sequence[Any]) -> bool | None:
    """Health is never replayed, so its time tells; else the newest window's own word."""
    received_at_ms, health = newest
    if received_at_ms is not None:
        return bool(abs(received_at_ms - health["wall_ms"]) <= SKEW_MS)
    return bool(windows[0].clock_synced) if windows else None


def _health(connection: sa.Connection, address: TrapAddress, since_ms: int, until_ms: int) -> list[_Reading]:
    query = (
        sa.select(_H.received_at_ms, _H.body)
        .where(_H.tenant == address.tenant, _H.trap == address.trap)
        .where(_H.received_at_ms > since_ms, _H.received_at_ms <= until_ms)
        .order_by(_H.received_at_ms.desc())
        .limit(HEALTH_ROWS)
    )
    return [(received_at_ms, json.loads(body)) for received_at_ms, body in connection.execute(query)]


def _sharpness(health: Sequence[_Reading]) -> list[float]:
    return [one["sharpness"] for _, one in health if one.get("sharpness") is not None]


def _past(connection: sa.Connection, address: TrapAddress, now_ms: int) -> Past:
    since = utc(now_ms).date() - SEASON
    asked = Selection(address.tenant, address.trap, since=since)
    found = read_rows(connection, "night", asked, now_ms)
    nights = [row for row in found if row.is_catch and not row.problem and row.ends_ms <= now_ms]
    is_fresh = bool(nights) and nights[-1].ends_ms > now_ms - DAY_MS
    return Past(
        nights=[_total(row) for row in nights] if is_fresh else (),
        scores=_scores(connection, address, now_ms - DAY_MS, now_ms),
        scores_before=_scores(connection, address, now_ms - SCORES_MS, now_ms - DAY_MS),
    )


def _total(night: Row) -> float:
    return float(sum((night.counts or {}).values()))


def _scores(connection: sa.Connection, address: TrapAddress, since_ms: int, until_ms: int) -> list[float]:
    """Mean scores of each class and window."""
    query = sa.select(_W.body).where(
        _W.tenant == address.tenant, _W.trap == address.trap, _W.start_ms >= since_ms, _W.start_ms < until_ms
    )
    return [score for (body,) in connection.execute(query) for score in json.loads(body)["confidence"].values()]
