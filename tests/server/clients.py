"""Who asks the API in tests: somebody with a token, or a browser."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from fastapi.testclient import TestClient
from trap_server.accounts import links, people, tokens
from trap_server.accounts.callers import OPERATING, Role
from trap_server.app import build_app
from trap_server.database import open_for_reading


def token_of(engine: sa.Engine, role: Role = "admin") -> str:
    """A new token."""
    with engine.begin() as connection:
        return tokens.issue(connection, f"test-{role}", role, OPERATING, now_ms=0)[1]


@contextmanager
def client_of(
    database_url: str, engine: sa.Engine, clock: Callable[[], int], role: Role | None = "admin"
) -> Iterator[TestClient]:
    """The application with its clock, asked by a machine of this role, or by nobody."""
    with TestClient(build_app(open_for_reading(database_url), engine, clock), follow_redirects=False) as client:
        if role is not None:
            client.headers["authorization"] = f"Bearer {token_of(engine, role)}"
        yield client


def come_in(client: TestClient, engine: sa.Engine, now_ms: int, name: str = "anna", role: Role = "admin") -> None:
    """Give the client a browser's session of a new person, by a link."""
    with engine.begin() as connection:
        secret = links.issue(connection, "enter", people.add(connection, name, role, now_ms), now_ms)
    answer = client.get(f"/enter/{secret}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
