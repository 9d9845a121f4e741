"""Every operation of the OpenAPI document, asked with what fits it and with what does not: never a 5xx."""

from typing import Any

import pytest
import schemathesis
import sqlalchemy as sa
from argon2 import PasswordHasher
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.schemas import BaseSchema
from trap_server.accounts import passwords
from trap_server.accounts.callers import Caller
from trap_server.api.entry import identify
from trap_server.app import build_app
from trap_server.database import open_for_reading

from server.exports import caught, keep
from server.traps import NOON_MS

REAL = {"tenant": "demo", "trap": "t1"}


@pytest.fixture
def api(database_url: str, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> BaseSchema:
    """The application with some counts in it, asked by an admin whom nothing that happens can shut out."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    keep(engine, caught(1, 1), caught(2, 30), caught(4, 31, None))
    app = build_app(open_for_reading(database_url), engine, lambda: NOON_MS + 3 * 86_400_000)
    app.dependency_overrides[identify] = lambda: Caller("fuzz", "admin", "token")
    app.state.rates.wait_s = lambda *_: None
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)


def test_no_request_is_answered_with_a_server_error(api: BaseSchema):
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) > 40
    for operation in operations:
        if operation.path != "/api/v1/events":  # it does not end
            fuzz(operation)


def fuzz(operation: Any) -> None:
    """Ask with cases that fit the document, of a trap that is not there and of one that is."""

    @settings(max_examples=6, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None)
    @given(operation.as_strategy())
    def ask(case: Case) -> None:
        answer = case.call()
        assert answer.status_code < 500 or case.path == "/readyz", f"{case.as_curl_command()}: {answer.text}"
        if set(REAL) <= set(case.path_parameters or {}):
            case.path_parameters = {**case.path_parameters, **REAL}
            assert case.call().status_code < 500, case.as_curl_command()

    ask()
