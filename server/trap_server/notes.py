"""Notes of people on a trap: what was done there, and when; counts are read beside them."""

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from trap_contract.topics import TrapAddress

from trap_server import schema

Kind = Literal["bait", "lens", "moved", "emptied", "other"]
_N = schema.notes.c


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody did or saw at `at_ms`; `id` is None until it is stored."""

    tenant: str
    trap: str
    kind: Kind
    text: str
    at_ms: int
    by: str
    written_ms: int
    id: int | None = None


def notes(connection: sa.Connection, address: TrapAddress, before: int | None, limit: int) -> list[Note]:
    """The newest notes on a trap, or the newest before the note `before`."""
    query = sa.select(schema.notes).where(_N.tenant == address.tenant, _N.trap == address.trap)
    query = query if before is None else query.where(_N.id < before)
    return [Note(**row) for row in connection.execute(query.order_by(_N.id.desc()).limit(limit)).mappings()]


def note(connection: sa.Connection, number: int) -> Note | None:
    """One of them."""
    row = connection.execute(sa.select(schema.notes).where(_N.id == number)).mappings().one_or_none()
    return None if row is None else Note(**row)


def write(connection: sa.Connection, new: Note) -> Note:
    """Store it; returned with its number."""
    values = {name: getattr(new, name) for name in Note.__slots__ if name != "id"}
    number = connection.execute(sa.insert(schema.notes).values(**values).returning(_N.id)).scalar_one()
    return Note(**values, id=number)


def remove(connection: sa.Connection, number: int) -> None:
    """Take it back; the audit log keeps it."""
    connection.execute(sa.delete(schema.notes).where(_N.id == number))
