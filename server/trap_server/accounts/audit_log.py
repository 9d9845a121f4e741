"""The audit log: who changed what, and when; written in the transaction of the change itself."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trap_server import schema
from trap_server.accounts.callers import Caller

_A = schema.audit.c


@dataclass(frozen=True, slots=True)
class Entry:
    """One change."""

    id: int
    at_ms: int
    who: str
    action: str
    subject: str
    details: dict[str, Any]


def record(
    connection: sa.Connection, who: Caller, now_ms: int, action: str, subject: object = "", **details: Any
) -> None:
    """Write down that `who` did `action` to `subject`; never a secret."""
    values = {"at_ms": now_ms, "who": who.signature, "action": action, "subject": str(subject), "details": details}
    connection.execute(sa.insert(schema.audit).values(**values))


def entries(connection: sa.Connection, before: int | None, limit: int) -> list[Entry]:
    """The newest entries, or the newest before the entry `before`."""
    query = sa.select(schema.audit).order_by(_A.id.desc()).limit(limit)
    found = connection.execute(query if before is None else query.where(_A.id < before))
    return [Entry(**row) for row in found.mappings()]
