"""Whether to believe the numbers: what is missing, lost, late, repaired, double, refused, or of no known place."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from trap_contract.topics import TrapAddress

from trap_server import queries, schema
from trap_server.deployments import deployments

LATE_MS = 15 * 60_000
LOOKED_AT = 200_000
"""Newest windows whose lateness and clocks are told."""
SHOWN = 100

_B, _L, _W, _Q, _C = schema.boots.c, schema.losses.c, schema.windows.c, schema.quarantine.c, schema.collisions.c


@dataclass(frozen=True, slots=True)
class Owed:
    """Windows of one trap that are not stored: `missing` may come still, `lost` never will."""

    tenant: str
    trap: str
    missing: int
    lost: int
    ranges: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """Of the newest windows of one trap: how many came late, by how much at most, and how their time is known."""

    tenant: str
    trap: str
    windows: int
    late: int
    latest_ms: int
    repaired: int
    undated: int
    worst_error_ms: int | None


def owed(connection: sa.Connection) -> list[Owed]:
    """Traps with windows missing or lost, the most first."""
    reasons: dict[TrapAddress, set[str]] = {}
    for tenant, trap, reason in connection.execute(sa.select(_L.tenant, _L.trap, _L.reason).distinct()):
        reasons.setdefault(TrapAddress(tenant, trap), set()).add(reason)
    added: dict[TrapAddress, list[int]] = {}
    has_some = sa.or_(_B.ask_at_ms.is_not(None), sa.cast(_B.lost, sa.Text) != "[]")
    for tenant, trap, missing, lost in connection.execute(
        sa.select(_B.tenant, _B.trap, _B.missing, _B.lost).where(has_some)
    ):
        sums = added.setdefault(TrapAddress(tenant, trap), [0, 0, 0])
        sums[0] += _size(missing)
        sums[1] += _size(lost)
        sums[2] += len(missing) + len(lost)
    found = [
        Owed(one.tenant, one.trap, missing, lost, ranges, tuple(sorted(reasons.get(one, ()))))
        for one, (missing, lost, ranges) in added.items()
    ]
    return sorted(found, key=lambda one: (-one.missing, -one.lost, one.tenant, one.trap))


def _size(ranges: Iterable[list[int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def timing(connection: sa.Connection) -> tuple[list[Timing], int | None]:
    """Traps whose newest windows came late or had their clocks repaired; and when the oldest of these was stored."""
    begin = queries.newest_id(connection) - LOOKED_AT
    late_ms = _W.received_at_ms - _W.start_ms - _W.duration_ms
    columns = (
        sa.func.count(),
        sa.func.sum(sa.case((late_ms > LATE_MS, 1), else_=0)),
        sa.func.max(late_ms),
        sa.func.sum(sa.case((_W.clock_method == "trusted", 0), else_=1)),
        sa.func.sum(sa.case((sa.and_(_W.clock_method != "trusted", _W.clock_error_ms.is_(None)), 1), else_=0)),
        sa.func.max(_W.clock_error_ms),
    )
    query = sa.select(_W.tenant, _W.trap, *columns).where(_W.id > begin).group_by(_W.tenant, _W.trap)
    found = [Timing(*row) for row in connection.execute(query)]
    first: int | None = connection.execute(
        sa.select(_W.received_at_ms).where(_W.id > begin).order_by(_W.id).limit(1)
    ).scalar_one_or_none()
    doubtful = [one for one in found if one.late or one.repaired]
    return sorted(doubtful, key=lambda one: (-one.late, -one.repaired, one.tenant, one.trap)), first


def quarantined(connection: sa.Connection) -> list[dict[str, Any]]:
    """The newest messages that could not be understood, without their content."""
    columns = (_Q.id, _Q.topic, _Q.tenant, _Q.trap, _Q.reason, _Q.received_at_ms, _Q.times)
    query = sa.select(*columns, sa.func.length(_Q.payload).label("bytes")).order_by(_Q.id.desc()).limit(SHOWN)
    return [dict(row) for row in connection.execute(query).mappings()]


def collisions(connection: sa.Connection) -> list[dict[str, Any]]:
    """The newest windows whose number was stored already with other content: a cloned card."""
    columns = (_C.id, _C.tenant, _C.trap, _C.boot, _C.seq, _C.received_at_ms, _C.times)
    query = sa.select(*columns).order_by(_C.id.desc()).limit(SHOWN)
    return [dict(row) for row in connection.execute(query).mappings()]


def unclaimed(connection: sa.Connection, now_ms: int) -> list[dict[str, Any]]:
    """Traps that send and stand nowhere: their nights go by UTC, and no map shows them."""
    placed = {TrapAddress(one.tenant, one.trap) for one in deployments(connection, at_ms=now_ms).values()}
    return [
        {
            "tenant": one.tenant,
            "trap": one.trap,
            "site": one.birth_content.get("site", ""),
            "last_seen_ms": one.last_seen_ms,
            "status": one.status(now_ms),
        }
        for one in queries.trap_records(connection)
        if TrapAddress(one.tenant, one.trap) not in placed
    ]
