"""People, sessions, one-time links and tokens, as a browser and a machine meet them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from trap_server import schema
from trap_server.accounts import front_door, links, passwords, sessions
from trap_server.accounts.links import LIFE_MS, address_of
from trap_server.api.entry import COOKIE
from trap_server.app import build_app
from trap_server.database import open_for_reading

from server.clients import come_in, token_of

PASSWORD = "a few plain words"
OWN = {"origin": "http://testserver"}


@dataclass
class Clock:
    now_ms: int = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Site:
    """The application and its database."""

    url: str
    engine: sa.Engine
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.app = build_app(open_for_reading(self.url), self.engine, self.clock)

    def browser(self, **headers: str) -> TestClient:
        return TestClient(self.app, follow_redirects=False, headers=headers or OWN)

    def link(self, purpose: links.Purpose = "first") -> str:
        with self.engine.begin() as connection:
            return address_of("", purpose, front_door.first_link(connection, self.clock()) or "")


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords._nobodys.cache_clear()
    yield
    passwords._nobodys.cache_clear()


@pytest.fixture
def site(database_url: str, engine: sa.Engine) -> Site:
    return Site(database_url, engine)


@pytest.fixture
def anna(site: Site) -> TestClient:
    """The first admin, in her browser."""
    browser = site.browser()
    form = {"name": "Anna", "password": PASSWORD, "again": PASSWORD}
    assert browser.post(site.link(), data=form).status_code == 303
    return browser


def log_in(browser: TestClient, password: str = PASSWORD, name: str = "anna") -> int:
    return browser.post("/api/v1/login", json={"name": name, "password": password}).status_code


def test_the_first_link_makes_one_admin_and_no_second(site: Site):
    first, second = site.link(), site.link()
    browser = site.browser()
    assert "first admin" in browser.get(first).text
    form = {"name": "Anna", "password": PASSWORD, "again": PASSWORD}
    answer = browser.post(first, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/api/v1/me").json() == {"name": "anna", "role": "admin", "kind": "person"}
    assert [site.browser().get(link).status_code for link in (first, second)] == [410, 410]
    assert site.browser().post(second, data=form | {"name": "eve"}).status_code == 410
    with site.engine.begin() as connection:
        assert front_door.first_link(connection, site.clock()) is None


def test_a_refused_password_leaves_the_link_as_it_was(site: Site):
    link, browser = site.link(), site.browser()
    for password, again, says in (("short", "short", "12 to 200"), (PASSWORD, "other", "differ")):
        answer = browser.post(link, data={"name": "anna", "password": password, "again": again})
        assert (answer.status_code, says in answer.text) == (422, True)
    assert "letters, digits" in browser.post(link, data={"name": "<b>", "password": PASSWORD, "again": PASSWORD}).text
    assert browser.post(link, data={"name": "anna", "password": PASSWORD, "again": PASSWORD}).status_code == 303


def test_a_link_dies_after_a_day(site: Site):
    link = site.link()
    site.clock.now_ms += LIFE_MS
    assert site.browser().get(link).status_code == 410


def test_no_password_and_no_secret_is_stored_as_it_is(site: Site, anna: TestClient):
    invited = anna.post("/api/v1/people", json={"name": "ben", "role": "viewer"}).json()["link"]
    secrets = [PASSWORD, anna.cookies[COOKIE], invited.rsplit("/", 1)[1], token_of(site.engine)]
    with site.engine.begin() as connection:
        tables = (schema.people, schema.sessions, schema.links, schema.tokens, schema.audit)
        stored = "".join(str(connection.execute(sa.select(table)).all()) for table in tables)
    assert "$argon2id$" in stored
    assert [secret for secret in secrets if secret in stored] == []


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Site, anna: TestClient):
    said = site.browser().post("/api/v1/login", json={"name": "anna", "password": PASSWORD}).headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=lax" in said
    assert "Secure" not in said
    tls = TestClient(site.app, base_url="https://testserver", headers={"origin": "https://testserver"})
    assert "Secure" in tls.post("/api/v1/login", json={"name": "anna", "password": PASSWORD}).headers["set-cookie"]


def test_a_login_never_takes_over_the_session_that_the_browser_brought(site: Site, anna: TestClient):
    victim = site.browser()
    victim.cookies.set(COOKIE, "chosen-by-eve")
    assert log_in(victim) == 204
    assert victim.cookies.get(COOKIE, domain="testserver.local") != "chosen-by-eve"
    eve = site.browser()
    eve.cookies.set(COOKIE, "chosen-by-eve")
    assert eve.get("/api/v1/me").status_code == 401
    old = anna.cookies[COOKIE]
    assert log_in(anna) == 204
    assert anna.cookies[COOKIE] != old
    eve.cookies.set(COOKIE, old)
    assert eve.get("/api/v1/me").status_code == 401


def test_a_session_ends_when_idle_when_old_and_at_logout(site: Site, anna: TestClient):
    site.clock.now_ms += sessions.IDLE_MS - 1
    assert anna.get("/api/v1/me").status_code == 200  # and its use is written down
    site.clock.now_ms += sessions.IDLE_MS - 1
    assert anna.get("/api/v1/me").status_code == 200
    site.clock.now_ms += sessions.IDLE_MS
    assert anna.get("/api/v1/me").status_code == 401
    assert log_in(anna) == 204
    for _ in range(sessions.LIFE_MS // (sessions.IDLE_MS - 1)):
        site.clock.now_ms += sessions.IDLE_MS - 1
        assert anna.get("/api/v1/me").status_code == 200
    site.clock.now_ms += sessions.IDLE_MS - 1
    assert anna.get("/api/v1/me").status_code == 401
    assert log_in(anna) == 204
    secret = anna.cookies[COOKIE]
    assert anna.post("/api/v1/logout").status_code == 204
    stolen = site.browser()
    stolen.cookies.set(COOKIE, secret)
    assert stolen.get("/api/v1/me").status_code == 401


def test_a_new_password_ends_every_other_session(site: Site, anna: TestClient):
    other = site.browser()
    assert log_in(other) == 204
    wrong = {"old": "not this one", "new": PASSWORD + "!"}
    assert anna.post("/api/v1/me/password", json=wrong).status_code == 403
    assert anna.post("/api/v1/me/password", json=wrong | {"old": PASSWORD}).status_code == 204
    assert (anna.get("/api/v1/me").status_code, other.get("/api/v1/me").status_code) == (200, 401)
    assert (log_in(other), log_in(other, PASSWORD + "!")) == (401, 204)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://testserver.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://testserver"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://testserver"}, 201),
        ({"sec-fetch-site": "same-origin"}, 201),
    ],
)
def test_a_change_that_another_sites_page_asks_for_is_refused(sqlite_site: Site, headers: dict[str, str], status: int):
    browser = sqlite_site.browser(**headers)
    come_in(browser, sqlite_site.engine, sqlite_site.clock())
    assert browser.post("/api/v1/people", json={"name": "ben", "role": "admin"}).status_code == status
    if status == 403:
        assert browser.post("/api/v1/login", json={"name": "anna", "password": PASSWORD}).status_code == 403
        assert browser.post("/logout").status_code == 403
    assert browser.get("/api/v1/me").status_code == 200


@pytest.fixture
def sqlite_site(sqlite_url: str) -> Site:
    from trap_server.database import open_database

    return Site(sqlite_url, open_database(sqlite_url))


def test_a_login_says_the_same_of_a_wrong_name_and_of_a_wrong_password(site: Site, anna: TestClient):
    told = [
        (answer.status_code, answer.json())
        for name, password in (("anna", "wrong"), ("nobody", PASSWORD))
        if (answer := site.browser().post("/api/v1/login", json={"name": name, "password": password}))
    ]
    assert told[0] == told[1] == (401, {"detail": "name or password is wrong"})


def test_logging_in_is_limited_by_address_and_by_name_until_time_has_passed(site: Site, anna: TestClient):
    browser = site.browser()
    site.clock.now_ms += 60_000
    assert [log_in(browser, "wrong") for _ in range(21)][-2:] == [401, 429]
    refused = browser.post("/api/v1/login", json={"name": "anna", "password": PASSWORD})
    assert (refused.status_code, int(refused.headers["retry-after"])) == (429, 60)
    site.clock.now_ms += 60_000
    assert log_in(browser) == 204
    statuses = []
    for _ in range(3):
        statuses += [log_in(browser, "wrong") for _ in range(5)]
        site.clock.now_ms += 60_000
    assert statuses[-1] == 429  # the thirty of an hour are used up for this name
    assert log_in(browser, name="ben") == 401
    site.clock.now_ms += 3_600_000
    assert log_in(browser) == 204


def test_asking_is_limited_for_each_caller(site: Site, monkeypatch: pytest.MonkeyPatch):
    from limits import parse
    from trap_server.accounts import rates

    monkeypatch.setitem(rates.LIMITS, "ask", parse("3 per minute"))
    token, other = (site.browser(authorization=f"Bearer {token_of(site.engine, role)}") for role in ("viewer", "admin"))
    assert [token.get("/api/v1/me").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert other.get("/api/v1/me").status_code == 200
    site.clock.now_ms += 60_000
    assert token.get("/api/v1/me").status_code == 200


def test_guessing_tokens_is_limited(site: Site):
    guesser = site.browser(authorization="Bearer zancudo_guess")
    statuses = [guesser.get("/api/v1/me").status_code for _ in range(61)]
    assert (set(statuses[:60]), statuses[60]) == ({401}, 429)


def test_who_is_disabled_or_demoted_loses_it_at_once(site: Site, anna: TestClient):
    anna.post("/api/v1/people", json={"name": "ben", "role": "operator"})
    link = anna.post("/api/v1/people/ben/link").json()["link"].replace("http://testserver", "")
    ben = site.browser()
    assert "Set your password" in ben.get(link).text
    assert ben.post(link, data={"name": "ben", "password": PASSWORD, "again": PASSWORD}).status_code == 303
    assert ben.delete("/api/v1/deployments/1").status_code == 404
    anna.patch("/api/v1/people/ben", json={"role": "viewer"})
    assert ben.delete("/api/v1/deployments/1").status_code == 403
    anna.patch("/api/v1/people/ben", json={"disabled": True})
    assert (ben.get("/api/v1/me").status_code, log_in(ben, name="ben")) == (401, 401)
    assert anna.delete("/api/v1/people/ben").status_code == 204
    assert [one["name"] for one in anna.get("/api/v1/people").json()] == ["anna"]


def test_the_last_admin_stays(anna: TestClient):
    for answer in (
        anna.patch("/api/v1/people/anna", json={"role": "viewer"}),
        anna.patch("/api/v1/people/anna", json={"disabled": True}),
        anna.delete("/api/v1/people/anna"),
    ):
        assert (answer.status_code, "last admin" in answer.json()["detail"]) == (422, True)
    assert anna.get("/api/v1/me").json()["role"] == "admin"


def test_a_token_is_shown_once_expires_and_can_be_revoked(site: Site, anna: TestClient):
    expires_ms = site.clock() + 1000
    issued = anna.post("/api/v1/tokens", json={"name": "nightly", "role": "viewer", "expires_ms": expires_ms}).json()
    lasting = anna.post("/api/v1/tokens", json={"name": "prometheus", "role": "viewer"}).json()
    assert issued["secret"] not in anna.get("/api/v1/tokens").text
    dying, living = (site.browser(authorization=f"Bearer {one['secret']}") for one in (issued, lasting))
    assert dying.get("/api/v1/me").json() == {"name": "nightly", "role": "viewer", "kind": "token"}
    site.clock.now_ms += 1000
    assert (dying.get("/api/v1/me").status_code, living.get("/metrics").status_code) == (401, 200)
    assert anna.delete(f"/api/v1/tokens/{lasting['token']['id']}").status_code == 204
    assert living.get("/metrics").status_code == 401
    assert anna.delete(f"/api/v1/tokens/{lasting['token']['id']}").status_code == 422


def test_a_bad_token_is_refused_even_with_a_good_cookie(anna: TestClient):
    assert anna.get("/api/v1/me", headers={"authorization": "Bearer nonsense"}).status_code == 401
    assert anna.get("/api/v1/me", headers={"authorization": "Basic YTpi"}).status_code == 401


def test_every_change_is_in_the_audit_log_with_who_made_it(site: Site, anna: TestClient):
    anna.post("/api/v1/people", json={"name": "ben", "role": "viewer"})
    anna.patch("/api/v1/people/ben", json={"role": "operator"})
    page = anna.get("/api/v1/audit?limit=2").json()
    assert [(one["who"], one["action"], one["subject"]) for one in page["entries"]] == [
        ("anna", "people.change", "ben"),
        ("anna", "people.add", "ben"),
    ]
    assert page["entries"][0]["details"] == {"role": "operator", "disabled": False}
    older = anna.get(f"/api/v1/audit?limit=2&cursor={page['next_cursor']}").json()
    assert [one["action"] for one in older["entries"]] == ["set password", "people.add"]
    assert older["entries"][1]["who"] == "command line"


def test_a_page_sends_nobody_to_the_login_and_then_on(site: Site, anna: TestClient):
    stranger = site.browser()
    answer = stranger.get("/?trap=demo/t1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2F%3Ftrap%3Ddemo%2Ft1")
    assert 'value="/?trap=demo/t1"' in stranger.get(answer.headers["location"]).text
    form = {"name": "anna", "password": PASSWORD, "next": "/?trap=demo/t1"}
    assert stranger.post("/login", data=form | {"password": "wrong"}).status_code == 401
    assert stranger.post("/login", data=form).headers["location"] == "/?trap=demo/t1"
    assert stranger.get("/").status_code == 200
    for foreign in ("//evil.example", "https://evil.example", "/\\evil.example", "\r\nx: y"):
        assert stranger.post("/login", data=form | {"next": foreign}).headers["location"] == "/"


def test_hostile_text_in_a_form_is_shown_as_text_or_refused(site: Site, anna: TestClient):
    script = '"><script>alert(1)</script>'
    stranger = site.browser()
    page = stranger.post("/login", data={"name": script, "password": "x", "next": script})
    assert page.status_code == 401
    assert script not in page.text
    assert stranger.post("/login", content=b"name=" + b"x" * 20_000).status_code == 413
    for name in ("\0", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "x" * 1000):
        assert stranger.post("/login", data={"name": name, "password": "\0"}).status_code == 401
    assert stranger.get("/welcome/%00").status_code == 410
    assert stranger.get("/enter/%00").status_code == 410


def test_the_pages_of_the_door_have_no_script_and_ask_no_other_host(site: Site):
    browser = site.browser()
    for page in (browser.get("/login"), browser.get(site.link())):
        assert re.findall(r"""<script|\son\w+=|style=|(?:src|href)=["'](?!/static/)""", page.text) == []
        assert "form-action 'self'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"


def test_an_invitation_leads_to_where_people_find_the_page(site: Site, anna: TestClient):
    site.app.state.url = "https://traps.example/"
    invited = anna.post("/api/v1/people", json={"name": "ben", "role": "viewer"}).json()
    assert invited["link"].startswith("https://traps.example/welcome/")
