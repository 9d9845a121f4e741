"""Alerts in the database: those not closed, those that changed, those not told yet."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import sqlalchemy as sa
from trap_contract.errors import ConfigError

from trap_server import schema
from trap_server.alerting.engine import Alert, Key, State

_A = schema.alerts.c


def live_alerts(connection: sa.Connection) -> dict[Key, Alert]:
    """Every alert that is not closed."""
    return {alert.key: alert for alert in _alerts(connection, _A.closed_ms.is_(None))}


def alerts(
    connection: sa.Connection,
    limit: int,
    *,
    state: State | None = None,
    tenant: str | None = None,
    trap: str | None = None,
    before: int | None = None,
) -> list[Alert]:
    """The newest alerts, closed ones too, newest first; of one state, tenant or trap, or older than `before`."""
    wanted = {_A.state: state, _A.tenant: tenant, _A.trap: trap}
    conditions = [column == value for column, value in wanted.items() if value is not None]
    return _alerts(connection, *conditions, *([] if before is None else [_A.id < before]), limit=limit)


def count_open(connection: sa.Connection) -> int:
    """How many nobody has seen yet."""
    query = sa.select(sa.func.count()).select_from(schema.alerts).where(_A.state == "open")
    return connection.execute(query).scalar_one()


def untold(connection: sa.Connection, senders: Iterable[str], since_ms: int) -> list[tuple[Alert, str]]:
    """Alerts with a sender that does not know their end or, while they last, their beginning.

    One that closed before a sender knew of it is no news to it, nor is one that closed before `since_ms`.
    """
    names = list(senders)
    found = _alerts(connection, sa.or_(_A.closed_ms.is_(None), _A.closed_ms >= since_ms))
    return [(alert, name) for alert in found for name in names if _is_news(alert, name)]


def _is_news(alert: Alert, sender: str) -> bool:
    known = alert.told.get(sender)
    return known == "open" if alert.state == "closed" else known is None


def keep(connection: sa.Connection, changed: Sequence[Alert]) -> list[Alert]:
    """Store what opened or changed; returned with their ids."""
    return [_keep(connection, alert) for alert in changed]


def remember_told(connection: sa.Connection, alert: Alert) -> None:
    """Store only who was told, for somebody may have acknowledged the alert meanwhile."""
    connection.execute(sa.update(schema.alerts).where(_A.id == alert.id).values(told=alert.told))


def acknowledge(connection: sa.Connection, number: int, by: str, now_ms: int) -> Alert:
    """Somebody has seen it. Raises ConfigError when there is no such alert."""
    found = _alerts(connection, _A.id == number)
    if not found:
        raise ConfigError(f"there is no alert {number}; see `trap-server alerts`")
    (alert,) = keep(connection, [found[0].acknowledged(by, now_ms)])
    return alert


def _keep(connection: sa.Connection, alert: Alert) -> Alert:
    values = asdict(alert)
    number = values.pop("id")
    if number is not None:
        connection.execute(sa.update(schema.alerts).where(_A.id == number).values(**values))
        return alert
    inserted = connection.execute(sa.insert(schema.alerts).values(**values).returning(_A.id))
    return Alert(**values, id=inserted.scalar_one())


def _alerts(connection: sa.Connection, *conditions: sa.ColumnElement[bool], limit: int | None = None) -> list[Alert]:
    query = sa.select(schema.alerts).where(*conditions).order_by(_A.id.desc()).limit(limit)
    return [Alert(**row) for row in connection.execute(query).mappings()]
