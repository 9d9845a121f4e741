"""Who may do what: every operation of the API, asked by nobody, a viewer, an operator and an admin."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from trap_server.app import build_app
from trap_server.database import open_database, open_for_reading

from server.clients import come_in, token_of
from server.traps import NOON_MS

FREE = {("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/api/v1/login"), ("POST", "/api/v1/logout")}
LEAST = {  # what a viewer may not; whatever is not named here only reads
    ("POST", "/api/v1/deployments"): "operator",
    ("PUT", "/api/v1/deployments/{number}"): "operator",
    ("DELETE", "/api/v1/deployments/{number}"): "operator",
    ("POST", "/api/v1/review/labels"): "operator",
    ("DELETE", "/api/v1/review/labels/{number}"): "operator",
    ("POST", "/api/v1/traps/{tenant}/{trap}/commands"): "operator",
    ("PUT", "/api/v1/traps/{tenant}/{trap}/settings"): "operator",
    ("POST", "/api/v1/enrolments"): "operator",
    ("POST", "/api/v1/traps/{tenant}/{trap}/notes"): "operator",
    ("DELETE", "/api/v1/notes/{number}"): "operator",
    ("POST", "/api/v1/alerts/{number}/acknowledge"): "operator",
    ("GET", "/api/v1/people"): "admin",
    ("POST", "/api/v1/people"): "admin",
    ("PATCH", "/api/v1/people/{name}"): "admin",
    ("DELETE", "/api/v1/people/{name}"): "admin",
    ("POST", "/api/v1/people/{name}/link"): "admin",
    ("GET", "/api/v1/tokens"): "admin",
    ("POST", "/api/v1/tokens"): "admin",
    ("DELETE", "/api/v1/tokens/{number}"): "admin",
    ("GET", "/api/v1/audit"): "admin",
}
FOR_TRAPS = ("GET", "/api/v1/rollouts/{rollout}/files/{name}")  # each with a token of its rollout; no person gets in
OWN_CHANGES = {("POST", "/api/v1/me/password")}
ROLES = ("viewer", "operator", "admin")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, sa.Engine]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('access') / 'counts.db'}"
    engine = open_database(url)
    app = build_app(open_for_reading(url), engine, lambda: NOON_MS)
    yield TestClient(app, follow_redirects=False), engine
    engine.dispose()


def operations(client: TestClient) -> list[tuple[str, str]]:
    app: Any = client.app
    return [(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item]


def status(client: TestClient, method: str, path: str, headers: dict[str, str]) -> int:
    """Of an operation on nothing that exists, so that who may is told 404 or 422, and nothing is changed."""
    address = re.sub(r"\{(\w+)\}", lambda name: "9999" if name[1] in ("number", "id") else "none", path)
    headers = headers | {"content-type": "application/json"}
    if path.endswith("/events"):  # it would stay open
        address += "?after=x"
    return client.request(method, address, headers=headers, content=b"{}" if method != "GET" else None).status_code


def test_nobody_gets_in_anywhere(site: tuple[TestClient, sa.Engine]):
    client, _ = site
    client.app.state.rates.wait_s = lambda *_: None  # type: ignore[attr-defined]
    for method, path in operations(client):
        for headers in ({}, {"authorization": "Bearer zancudo_guess"}, {"cookie": "zancudo_session=guess"}):
            got = status(client, method, path, headers)
            assert (got == 401) == ((method, path) not in FREE), (method, path, got)
    assert status(client, "GET", "/api/v1/openapi.json", {}) == 401


@pytest.mark.parametrize("kind", ["token", "person"])
@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_what_it_may_and_no_more(site: tuple[TestClient, sa.Engine], role: Any, kind: str):
    client, engine = site
    headers = {"authorization": f"Bearer {token_of(engine, role)}"}
    if kind == "person":
        browser = TestClient(client.app, follow_redirects=False)
        come_in(browser, engine, NOON_MS, name=f"one-{role}", role=role)
        headers = {"cookie": f"zancudo_session={browser.cookies['zancudo_session']}", "sec-fetch-site": "same-origin"}
    for method, path in operations(client):
        if (method, path) in FREE:
            continue
        least = LEAST.get((method, path), "viewer")
        got = status(client, method, path, headers)
        may = ROLES.index(role) >= ROLES.index(least) and (method, path) != FOR_TRAPS
        assert (got in (401, 403)) == (not may), (method, path, got)


def test_every_operation_that_changes_something_is_named_here(site: tuple[TestClient, sa.Engine]):
    changing = {one for one in operations(site[0]) if one[0] != "GET"} - FREE - OWN_CHANGES
    assert changing == {one for one in LEAST if one[0] != "GET"}
