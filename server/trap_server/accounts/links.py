"""One-time links: each lets somebody in once, within a day."""

from typing import Literal

import sqlalchemy as sa

from trap_server import schema
from trap_server.accounts.people import Person, people
from trap_server.accounts.secrets import digest_of, new_secret

LIFE_MS = 24 * 3600 * 1000
Purpose = Literal["first", "password", "enter"]
"""To create the first admin, to set a password, or to come in without one."""

_L = schema.links.c


def issue(connection: sa.Connection, purpose: Purpose, person: Person | None, now_ms: int) -> str:
    """The secret of a new link; earlier links of that person are void."""
    if person is not None:
        connection.execute(sa.delete(schema.links).where(_L.person == person.id))
    connection.execute(sa.delete(schema.links).where(_L.expires_ms <= now_ms))
    secret = new_secret()
    values = {"digest": digest_of(secret), "purpose": purpose, "person": person and person.id}
    connection.execute(sa.insert(schema.links).values(**values, expires_ms=now_ms + LIFE_MS))
    return secret


def address_of(base: str, purpose: Purpose, secret: str) -> str:
    """What a browser opens."""
    return f"{base.rstrip('/')}/{'enter' if purpose == 'enter' else 'welcome'}/{secret}"


def look(connection: sa.Connection, secret: str, now_ms: int) -> tuple[Purpose, Person | None] | None:
    """What the link is for, and whose; None when it is used up, too old, or never was."""
    query = sa.select(_L.purpose, _L.person).where(_L.digest == digest_of(secret), _L.expires_ms > now_ms)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    owner = next((one for one in people(connection) if one.id == row.person), None)
    return None if owner is not None and owner.disabled else (row.purpose, owner)


def use_up(connection: sa.Connection, secret: str) -> bool:
    """Spend it; False when somebody else was faster."""
    return connection.execute(sa.delete(schema.links).where(_L.digest == digest_of(secret))).rowcount == 1


def forget_first(connection: sa.Connection) -> None:
    """There is an admin now, so that no link makes another first one."""
    connection.execute(sa.delete(schema.links).where(_L.purpose == "first"))
