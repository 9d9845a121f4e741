"""Deployments in the database: which trap stood at which site, and when; no trap at two sites at once."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from trap_contract.errors import ConfigError

from trap_server import schema
from trap_server.bulk import insert
from trap_server.nights import Deployment

HOUR_MS = 3_600_000
_D = schema.deployments.c


def deployments(
    connection: sa.Connection,
    *,
    tenant: str | None = None,
    trap: str | None = None,
    at_ms: int | None = None,
    after: int = 0,
    limit: int | None = None,
) -> dict[int, Deployment]:
    """Deployments by number, those of one tenant, trap or moment where that is given, beyond the number `after`."""
    query = sa.select(schema.deployments).where(_D.id > after).order_by(_D.id).limit(limit)
    if tenant is not None:
        query = query.where(_D.tenant == tenant)
    if trap is not None:
        query = query.where(_D.trap == trap)
    if at_ms is not None:
        query = query.where(_D.begins_ms <= at_ms, sa.or_(_D.ends_ms.is_(None), _D.ends_ms > at_ms))
    return {row["id"]: _deployment(row) for row in connection.execute(query).mappings()}


def deployment(connection: sa.Connection, number: int) -> Deployment | None:
    """One of them, None when there is no such number."""
    row = connection.execute(sa.select(schema.deployments).where(_D.id == number)).mappings().one_or_none()
    return None if row is None else _deployment(row)


def add(connection: sa.Connection, new: Deployment) -> int:
    """Store it; returns its number. Raises ConfigError when the trap stood elsewhere at that time."""
    _refuse_overlap(connection, new, but=None)
    _move_hours(connection, new.tenant, new.trap)
    number: int = connection.execute(sa.insert(schema.deployments).values(**asdict(new)).returning(_D.id)).scalar_one()
    return number


def replace(connection: sa.Connection, number: int, new: Deployment) -> None:
    """Put `new` in the place of another. Raises ConfigError when the trap stood elsewhere at that time."""
    _refuse_overlap(connection, new, but=number)
    _move_hours(connection, *_trap_of(connection, number))
    connection.execute(sa.update(schema.deployments).where(_D.id == number).values(**asdict(new)))
    _move_hours(connection, new.tenant, new.trap)


def remove(connection: sa.Connection, number: int) -> None:
    """Forget one that never was."""
    _move_hours(connection, *_trap_of(connection, number))
    connection.execute(sa.delete(schema.deployments).where(_D.id == number))


def _trap_of(connection: sa.Connection, number: int) -> tuple[str, str]:
    tenant, trap = connection.execute(sa.select(_D.tenant, _D.trap).where(_D.id == number)).one()
    return tenant, trap


def _move_hours(connection: sa.Connection, tenant: str, trap: str) -> None:
    """What the trap counted belongs to other nights and sites now: its roll-ups are stale."""
    for table, column in ((schema.windows, schema.windows.c.start_ms), (schema.hours, schema.hours.c.hour_ms)):
        hours = sa.select(table.c.tenant, table.c.trap, column - column % HOUR_MS).distinct()
        mine = hours.where(table.c.tenant == tenant, table.c.trap == trap)
        stale = insert(connection, schema.stale_hours).from_select(["tenant", "trap", "hour_ms"], mine)
        connection.execute(stale.on_conflict_do_nothing())


def _refuse_overlap(connection: sa.Connection, new: Deployment, *, but: int | None) -> None:
    query = sa.select(_D.id, _D.site).where(
        _D.tenant == new.tenant, _D.trap == new.trap, sa.or_(_D.ends_ms.is_(None), _D.ends_ms > new.begins_ms)
    )
    if but is not None:
        query = query.where(_D.id != but)
    if new.ends_ms is not None:
        query = query.where(_D.begins_ms < new.ends_ms)
    other = connection.execute(query.order_by(_D.begins_ms).limit(1)).one_or_none()
    if other is not None:
        raise ConfigError(
            f"trap {new.tenant}/{new.trap} is at {other.site!r} in that time (deployment {other.id}): end that first"
        )


def _deployment(row: Mapping[str, Any] | sa.RowMapping) -> Deployment:
    return Deployment(**{name: value for name, value in row.items() if name != "id"})
