"""People: name, role, password; the last admin stays one."""

import re
from dataclasses import dataclass

import sqlalchemy as sa
from trap_contract.errors import ConfigError

from trap_server import schema
from trap_server.accounts.callers import Role
from trap_server.accounts.passwords import is_right

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}"
_P = schema.people.c


@dataclass(frozen=True, slots=True)
class Person:
    """One account; it can log in when it has a password and is not disabled."""

    id: int
    name: str
    role: Role
    disabled: bool
    has_password: bool
    created_ms: int


def checked_name(name: str) -> str:
    """The name, if it can be one. Raises ConfigError."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError("a person's name has letters, digits and . _ @ + -, at most 64")
    return name


def people(connection: sa.Connection) -> list[Person]:
    """Everybody, by name."""
    return [_person(row) for row in connection.execute(sa.select(schema.people).order_by(_P.name)).mappings()]


def person(connection: sa.Connection, name: str) -> Person:
    """One of them. Raises ConfigError when there is no such person."""
    row = connection.execute(sa.select(schema.people).where(_P.name == name.lower())).mappings().one_or_none()
    if row is None:
        raise ConfigError(f"there is no person {name!r}; see `trap-server people list`")
    return _person(row)


def anybody(connection: sa.Connection) -> bool:
    """Whether there is a person at all."""
    return connection.execute(sa.select(sa.exists(sa.select(schema.people)))).scalar_one()


def add(connection: sa.Connection, name: str, role: Role, now_ms: int) -> Person:
    """A person without a password. Raises ConfigError when the name is taken."""
    if connection.execute(sa.select(_P.id).where(_P.name == name.lower())).first() is not None:
        raise ConfigError(f"there is a person {name.lower()!r} already; `trap-server people link` lets them in again")
    values = {"name": name.lower(), "role": role, "disabled": False, "created_ms": now_ms}
    connection.execute(sa.insert(schema.people).values(**values))
    return person(connection, name)


def change(connection: sa.Connection, name: str, *, role: Role | None = None, disabled: bool | None = None) -> Person:
    """Another role, or let in no more. Raises ConfigError for an unknown name and for the last admin."""
    found = person(connection, name)
    values = {"role": role or found.role, "disabled": found.disabled if disabled is None else disabled}
    connection.execute(sa.update(schema.people).where(_P.id == found.id).values(**values))
    _keep_an_admin(connection, found)
    return person(connection, name)


def remove(connection: sa.Connection, name: str) -> None:
    """Forget a person; what they did stays in the audit log. Raises ConfigError as `change` does."""
    found = person(connection, name)
    for table in (schema.sessions, schema.links):
        connection.execute(sa.delete(table).where(table.c.person == found.id))
    connection.execute(sa.delete(schema.people).where(_P.id == found.id))
    _keep_an_admin(connection, found)


def set_password(connection: sa.Connection, found: Person, hashed: str) -> None:
    """A new password, from `hash_password`; whoever is logged in with the old one is no more."""
    connection.execute(sa.update(schema.people).where(_P.id == found.id).values(password=hashed))
    connection.execute(sa.delete(schema.sessions).where(schema.sessions.c.person == found.id))


def with_password(connection: sa.Connection, name: str, password: str) -> Person | None:
    """The person, when name and password fit and nobody disabled them."""
    row = connection.execute(sa.select(schema.people).where(_P.name == name.lower())).mappings().one_or_none()
    right = is_right(password, None if row is None else row["password"])
    return _person(row) if right and row is not None and not row["disabled"] else None


def _keep_an_admin(connection: sa.Connection, before: Person) -> None:
    admins = sa.select(_P.id).where(_P.role == "admin", ~_P.disabled)
    was_one = before.role == "admin" and not before.disabled
    if was_one and connection.execute(admins).first() is None:
        raise ConfigError("this is the last admin: make another person admin first")


def _person(row: sa.RowMapping) -> Person:
    told = {name: row[name] for name in ("id", "name", "role", "disabled", "created_ms")}
    return Person(**told, has_password=row["password"] is not None)
