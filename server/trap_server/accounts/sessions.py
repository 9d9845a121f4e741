"""Sessions of people in browsers: kept on the server, so that they can end there."""

import sqlalchemy as sa

from trap_server import schema
from trap_server.accounts.callers import Caller
from trap_server.accounts.people import Person
from trap_server.accounts.secrets import digest_of, new_secret

IDLE_MS = 7 * 24 * 3600 * 1000
LIFE_MS = 30 * 24 * 3600 * 1000
TOUCH_MS = 3600 * 1000  # a session's use is written down once an hour

_S = schema.sessions.c
_P = schema.people.c


def begin(connection: sa.Connection, person: Person, now_ms: int) -> str:
    """The secret of a new session: never one that a browser brought."""
    connection.execute(sa.delete(schema.sessions).where(sa.not_(_alive(now_ms))))
    secret = new_secret()
    values = {"digest": digest_of(secret), "person": person.id, "began_ms": now_ms, "seen_ms": now_ms}
    connection.execute(sa.insert(schema.sessions).values(**values))
    return secret


def caller(connection: sa.Connection, secret: str, now_ms: int) -> tuple[Caller, bool] | None:
    """Whose session it is, and whether its use should be written down; None when it ended or never began."""
    query = (
        sa.select(_P.name, _P.role, _S.seen_ms)
        .join_from(schema.sessions, schema.people, _S.person == _P.id)
        .where(_S.digest == digest_of(secret), _alive(now_ms), ~_P.disabled)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (Caller(row.name, row.role, "person"), now_ms - row.seen_ms > TOUCH_MS)


def touch(connection: sa.Connection, secret: str, now_ms: int) -> None:
    """It was used."""
    connection.execute(sa.update(schema.sessions).where(_S.digest == digest_of(secret)).values(seen_ms=now_ms))


def end(connection: sa.Connection, secret: str) -> None:
    """Log out."""
    connection.execute(sa.delete(schema.sessions).where(_S.digest == digest_of(secret)))


def _alive(now_ms: int) -> sa.ColumnElement[bool]:
    return sa.and_(_S.seen_ms > now_ms - IDLE_MS, _S.began_ms > now_ms - LIFE_MS)
