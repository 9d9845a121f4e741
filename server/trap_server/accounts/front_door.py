"""Coming in: by password, by a one-time link, and the first admin of a new site."""

import sqlalchemy as sa
from trap_contract.errors import ConfigError

from trap_server.accounts import links, people, sessions
from trap_server.accounts.audit_log import record
from trap_server.accounts.callers import OPERATING, Caller
from trap_server.accounts.people import Person


def begin(connection: sa.Connection, person: Person, old: str, now_ms: int) -> str:
    """The secret of a new session of somebody whose password was right; the one that the browser brought ends."""
    sessions.end(connection, old)
    return _begin(connection, person, now_ms, "log in")


def enter(connection: sa.Connection, secret: str, now_ms: int) -> str | None:
    """The secret of a new session, for a link that lets somebody in without a password; None for another."""
    match links.look(connection, secret, now_ms):
        case ("enter", Person() as person) if links.use_up(connection, secret):
            return _begin(connection, person, now_ms, "enter by link")
    return None


def welcome(connection: sa.Connection, secret: str, name: str, hashed: str, now_ms: int) -> str:
    """Set the password of the link's person, or create the first admin; the secret of a new session.

    Raises ConfigError for a link that is used up, or a name that is taken.
    """
    found = links.look(connection, secret, now_ms)
    if found is None or found[0] == "enter":
        raise ConfigError("this link is used up or too old: ask for another")
    person = found[1] or _first_admin(connection, name, now_ms)
    people.set_password(connection, person, hashed)
    links.use_up(connection, secret)
    return _begin(connection, person, now_ms, "set password")


def first_link(connection: sa.Connection, now_ms: int) -> str | None:
    """The secret of a link that creates the first admin, None when there is a person already."""
    return None if people.anybody(connection) else links.issue(connection, "first", None, now_ms)


def _first_admin(connection: sa.Connection, name: str, now_ms: int) -> Person:
    links.forget_first(connection)
    person = people.add(connection, name, "admin", now_ms)
    record(connection, OPERATING, now_ms, "people.add", person.name, role="admin")
    return person


def _begin(connection: sa.Connection, person: Person, now_ms: int, how: str) -> str:
    record(connection, Caller(person.name, person.role, "person"), now_ms, how)
    return sessions.begin(connection, person, now_ms)
