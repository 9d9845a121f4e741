"""Tokens of machines: shown once, stored as a digest, with a role of their own, revocable."""

from dataclasses import dataclass

import sqlalchemy as sa
from trap_contract.errors import ConfigError

from trap_server import schema
from trap_server.accounts.callers import Caller, Role
from trap_server.accounts.secrets import digest_of, new_secret

PREFIX = "zancudo_"
LONGEST_NAME = 64
_T = schema.tokens.c


@dataclass(frozen=True, slots=True)
class Token:
    """One machine's token, without its secret."""

    id: int
    name: str
    role: Role
    created_ms: int
    created_by: str
    expires_ms: int | None
    revoked_ms: int | None


def tokens(connection: sa.Connection) -> list[Token]:
    """All of them, revoked ones too, oldest first."""
    query = sa.select(*(_T[name] for name in Token.__slots__)).order_by(_T.id)
    return [Token(**row) for row in connection.execute(query).mappings()]


def issue(
    connection: sa.Connection, name: str, role: Role, by: Caller, *, now_ms: int, expires_ms: int | None = None
) -> tuple[Token, str]:
    """A new token, and its secret, which can't be shown again. Raises ConfigError for a bad name."""
    if not (name.isprintable() and 0 < len(name) <= LONGEST_NAME):
        raise ConfigError(f"a token's name has 1 to {LONGEST_NAME} characters, none of them a control character")
    secret = new_secret(PREFIX)
    values = {"name": name, "role": role, "created_ms": now_ms, "created_by": by.signature, "expires_ms": expires_ms}
    inserted = sa.insert(schema.tokens).values(**values, digest=digest_of(secret)).returning(_T.id)
    number = connection.execute(inserted).scalar_one()
    return Token(id=number, name=name, role=role, created_ms=now_ms, created_by=by.signature, expires_ms=expires_ms,
                 revoked_ms=None), secret  # fmt: skip


def revoke(connection: sa.Connection, number: int, now_ms: int) -> Token:
    """Refuse it from now on. Raises ConfigError when there is no such token that is not revoked."""
    done = sa.update(schema.tokens).where(_T.id == number, _T.revoked_ms.is_(None)).values(revoked_ms=now_ms)
    if connection.execute(done).rowcount != 1:
        raise ConfigError(f"there is no token {number} to revoke; see `trap-server tokens list`")
    return next(token for token in tokens(connection) if token.id == number)


def caller(connection: sa.Connection, secret: str, now_ms: int) -> Caller | None:
    """Whose token it is; None when it is revoked, too old, or never was."""
    query = sa.select(_T.name, _T.role).where(
        _T.digest == digest_of(secret),
        _T.revoked_ms.is_(None),
        sa.or_(_T.expires_ms.is_(None), _T.expires_ms > now_ms),
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Caller(row.name, row.role, "token")
