"""Commands to traps: kept when asked for, sent by whoever ingests, and read again with the trap's answer.

A trap carries a command out once, however often it comes: so it is marked as sent after it was, never before, and sent
again when the trap connects without having answered it.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa
from trap_contract.errors import ConfigError
from trap_contract.messages import Command
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.bulk import is_one_of

MOST_AT_ONCE: Final = 100
MOST_WAITING: Final = 20
"""Commands to one trap that may wait for their answer."""

OrderName = Literal["status", "restart", "snapshot"]
OrderState = Literal["waiting", "sent", "running", "done", "failed", "expired", "refused"]

_C, _A = schema.commands.c, schema.command_answers.c


@dataclass(frozen=True, slots=True)
class Order:
    """A command, and what became of it; `expired` without a text: no answer came in time."""

    tenant: str
    trap: str
    id: str
    name: str
    created_ms: int
    expires_ms: int
    sent_ms: int | None
    state: OrderState
    text: str
    answered_ms: int | None

    @property
    def address(self) -> TrapAddress:
        """Whom it is for."""
        return TrapAddress(self.tenant, self.trap)

    def command(self) -> Command:
        """The message."""
        return Command(trap=self.trap, id=self.id, name=self.name, expires_wall_ms=self.expires_ms)


def request(connection: sa.Connection, address: TrapAddress, name: OrderName, *, now_ms: int, ttl_s: int) -> str:
    """Keep a command to be sent; its id. Raises ConfigError when too many wait."""
    number = secrets.token_hex(16)
    waiting = sum(order.state in ("waiting", "sent") for order in orders(connection, address, now_ms, MOST_WAITING))
    if waiting >= MOST_WAITING:
        raise ConfigError(f"{waiting} commands to {address.trap} wait for an answer already: let them expire first")
    values = {"tenant": address.tenant, "trap": address.trap, "id": number, "name": name}
    expires_ms = now_ms + ttl_s * 1000
    connection.execute(
        sa.insert(schema.commands).values(**values, created_ms=now_ms, expires_ms=expires_ms, sent_ms=None)
    )
    return number


def orders(
    connection: sa.Connection, address: TrapAddress, now_ms: int, limit: int, before: tuple[int, str] | None = None
) -> list[Order]:
    """The newest commands to a trap, with their answers; those before a time and id, where that is given."""
    found = _answered().where(_C.tenant == address.tenant, _C.trap == address.trap)
    if before is not None:
        found = found.where(sa.tuple_(_C.created_ms, _C.id) < sa.tuple_(*map(sa.literal, before)))
    rows = connection.execute(found.order_by(_C.created_ms.desc(), _C.id.desc()).limit(limit))
    return [_order(dict(row), now_ms) for row in rows.mappings()]


def order(connection: sa.Connection, address: TrapAddress, number: str, now_ms: int) -> Order | None:
    """One command, None where there is none of this id."""
    found = _answered().where(_C.tenant == address.tenant, _C.trap == address.trap, _C.id == number)
    row = connection.execute(found).mappings().one_or_none()
    return None if row is None else _order(dict(row), now_ms)


def unsent(connection: sa.Connection, now_ms: int) -> list[Order]:
    """Commands that are to be sent now, the oldest first."""
    found = _answered().where(_C.sent_ms.is_(None), _C.expires_ms > now_ms)
    rows = connection.execute(found.order_by(_C.created_ms, _C.id).limit(MOST_AT_ONCE))
    return [_order(dict(row), now_ms) for row in rows.mappings()]


def mark_sent(connection: sa.Connection, sent: Sequence[Order], now_ms: int) -> None:
    """The broker has been given these."""
    for one in sent:
        is_it = sa.and_(_C.tenant == one.tenant, _C.trap == one.trap, _C.id == one.id)
        connection.execute(sa.update(schema.commands).where(is_it).values(sent_ms=now_ms))


def send_again(connection: sa.Connection, born: Iterable[TrapAddress], now_ms: int) -> None:
    """What these traps, just connected, have not answered and still may: a broker that was killed has forgotten it."""
    traps = sorted({(one.tenant, one.trap) for one in born})
    if not traps:
        return
    is_answered = sa.exists().where(_A.tenant == _C.tenant, _A.trap == _C.trap, _A.command == _C.id)
    is_open = sa.and_(_C.sent_ms.is_not(None), _C.expires_ms > now_ms, ~is_answered)
    of_traps = is_one_of(connection, (_C.tenant, _C.trap), traps)
    connection.execute(sa.update(schema.commands).where(of_traps, is_open).values(sent_ms=None))


def _answered() -> sa.Select[Any]:
    of_command = sa.and_(_A.tenant == _C.tenant, _A.trap == _C.trap, _A.command == _C.id)
    return sa.select(schema.commands, _A.state, _A.text, _A.received_at_ms.label("answered_ms")).join_from(
        schema.commands, schema.command_answers, of_command, isouter=True
    )


def _order(row: dict[str, Any], now_ms: int) -> Order:
    if row["state"] is None:
        kept: OrderState = "waiting" if row["sent_ms"] is None else "sent"
        row["state"] = "expired" if now_ms > row["expires_ms"] else kept
        row["text"] = ""
    return Order(**row)
