"""Ageing windows out, an hour at a time, once their hour is rolled up: what they counted stays, sealed.

The ledgers of the boots stay too, so what is missing or lost is known for good, and a window that comes again after it
was aged out is known as a duplicate.
"""

from collections.abc import Iterable

import sqlalchemy as sa

from trap_server import schema
from trap_server.bulk import upsert
from trap_server.deployments import deployments
from trap_server.gaps import Ledger
from trap_server.rollups.building import HOUR_MS, HourKey, Standing, build_hours, joined_hours, stretches
from trap_server.rollups.keeping import build, conditions, counted, hour_row, hours_in_order
from trap_server.sorting import OfferedWindow, WindowKey

_C, _H, _S, _W = schema.collisions.c, schema.hours.c, schema.stale_hours.c, schema.windows.c


def age_out(connection: sa.Connection, before_ms: int, limit: int) -> int:
    """Take out the windows of up to `limit` hours that ended before; returns how many windows.

    Windows that collided stay: two traps said different things, and a person must look.
    """
    hours = _ripe(connection, before_ms, limit)
    if not hours:
        return 0
    traps = {(tenant, trap) for tenant, trap, _ in hours}
    standing = Standing(
        one for tenant, trap in traps for one in deployments(connection, tenant=tenant, trap=trap).values()
    )
    sealed = [hour for which in conditions(_H, hours) for hour, _ in hours_in_order(connection, which, _H.sealed)]
    going = build_hours(counted(connection, hours, _agrees()), standing)
    upsert(connection, schema.hours, [hour_row(hour, sealed=True) for hour in joined_hours([*sealed, *going])])
    removed = sum(_delete(connection, *stretch) for stretch in stretches(hours))
    build(connection, hours)
    return removed


def aged_out(
    connection: sa.Connection,
    offered: Iterable[OfferedWindow],
    there: Iterable[WindowKey],
    ledgers: dict[tuple[str, str, str], Ledger],
) -> set[WindowKey]:
    """Keys that were stored once, are not `there` any more, and of whose trap hours are sealed."""
    known = set(there)
    gone = {one.key for one in offered if one.key not in known and ledgers[one.key[:3]].has_stored(one.key[3])}
    return {key for key in gone if _has_sealed(connection, key)}


def _has_sealed(connection: sa.Connection, key: WindowKey) -> bool:
    query = sa.select(_H.hour_ms).where(_H.tenant == key[0], _H.trap == key[1], _H.sealed).limit(1)
    return connection.execute(query).first() is not None


def _ripe(connection: sa.Connection, before_ms: int, limit: int) -> list[HourKey]:
    """Hours that are rolled up, not stale, over, and have windows that agree."""
    hour = sa.select(_S.hour_ms).where(_S.tenant == _H.tenant, _S.trap == _H.trap, _S.hour_ms == _H.hour_ms)
    window = sa.select(_W.id).where(
        _W.tenant == _H.tenant,
        _W.trap == _H.trap,
        _W.start_ms >= _H.hour_ms,
        _W.start_ms < _H.hour_ms + HOUR_MS,
        _agrees(),
    )
    query = (
        sa.select(_H.tenant, _H.trap, _H.hour_ms)
        .where(~_H.sealed, _H.hour_ms + HOUR_MS <= before_ms, ~hour.exists(), window.exists())
        .distinct()
        .limit(limit)
    )
    return [(tenant, trap, hour_ms) for tenant, trap, hour_ms in connection.execute(query)]


def _agrees() -> sa.ColumnElement[bool]:
    return ~sa.select(_C.id).where(*(_C[name] == _W[name] for name in schema.KEY)).exists()


def _delete(connection: sa.Connection, tenant: str, trap: str, first_ms: int, end_ms: int) -> int:
    which = (_W.tenant == tenant, _W.trap == trap, _W.start_ms >= first_ms, _W.start_ms < end_ms)
    return connection.execute(sa.delete(schema.windows).where(*which, _agrees())).rowcount
