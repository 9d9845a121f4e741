"""What operators and administrators do on the pages, in a real Chromium before the real site."""

import base64
import io
import re
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from trap_contract.messages import Answer, Clock, Evidence
from trap_contract.rollout import BundleFile, PublishedBundle
from trap_contract.signature import Signature
from trap_contract.topics import ANSWER, EVIDENCE, TrapAddress
from trap_server import orders, schema
from trap_server.accounts import links, people
from trap_server.accounts.passwords import hash_password
from trap_server.alerting import keeping as alerts
from trap_server.alerting.engine import Alert
from trap_server.app import wall_clock_ms
from trap_server.rollouts import keeping as rollouts
from trap_server.rollouts.plan import Plan
from waiting import until

from server.pages import Site, opened, running_browser, running_site
from server.running import rows
from server.traps import MODEL, FakeTrap, make_window

pytestmark = pytest.mark.timeout(240)

expect.set_options(timeout=30_000)

TRAP = "/traps/demo/t1"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("operating")) as site:
        with FakeTrap(site.broker_port) as trap:
            trap.introduce()
            trap.send(make_window(1, wall_ms=wall_clock_ms() - 60_000))
            until(lambda: trap.holds_acks_for(1), "the trap is known")
        yield site


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with opened(browser, site) as (page, _):
        yield page


def a_snapshot(number: str) -> str:
    data = io.BytesIO()
    Image.new("RGB", (640, 360), (205, 200, 180)).save(data, "JPEG")
    return Evidence(
        trap="t1",
        id=number,
        kind="snapshot",
        reason="command",
        wall_ms=wall_clock_ms(),
        clock=Clock(synced=True, source="ntp"),
        model=MODEL,
        frame_px=(1920, 1080),
        area=(0, 0, 1920, 1080),
        jpeg=base64.b64encode(data.getvalue()).decode(),
    ).model_dump_json()


def answer(trap: FakeTrap, state: str, text: str) -> str:
    """To the newest command, once it has come; its id."""
    number = trap.commands[-1].id
    said = Answer.model_validate({"trap": "t1", "id": number, "state": state, "text": text})
    trap.send_raw(said.model_dump_json(), ANSWER)
    return number


def test_a_picture_that_an_operator_asks_for_is_followed_until_it_has_come(browser: Browser, site: Site):
    with opened(browser, site, role="operator") as (page, _), FakeTrap(site.broker_port) as trap:
        page.goto(TRAP)
        page.click("#snapshot")
        told = page.locator("#snapshot-told")
        expect(told).to_contain_text("has not answered yet")
        expect(page.locator("#snapshot")).to_be_disabled()
        until(lambda: trap.commands, "the command arrives")
        number = answer(trap, "done", "taken")
        expect(told).to_contain_text("on its way")
        page.reload()  # who comes back is told of it too
        expect(told).to_contain_text("on its way")
        trap.send_raw(a_snapshot(number), EVIDENCE)
        expect(told).to_contain_text("has come")
        expect(page.locator("#frame figcaption")).to_contain_text("1,920")
        assert page.locator("#frame img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 640
        expect(page.locator("#snapshot")).to_be_enabled()


def test_a_trap_that_refuses_and_one_that_never_answers_are_told_apart(page: Page, site: Site):
    with FakeTrap(site.broker_port) as trap:
        page.goto(TRAP)
        page.click("#snapshot")
        until(lambda: trap.commands, "the command arrives")
        answer(trap, "failed", "no frame has been analysed")
        expect(page.locator("#snapshot-told")).to_contain_text("could not take it: no frame has been analysed")
    with site.engine.begin() as connection:
        orders.request(connection, TrapAddress("demo", "t1"), "snapshot", now_ms=wall_clock_ms(), ttl_s=0)
    page.reload()
    expect(page.locator("#snapshot-told")).to_contain_text("No answer came until")


def test_a_viewer_sees_the_picture_and_cannot_ask_for_one(browser: Browser, site: Site):
    with opened(browser, site, role="viewer") as (page, _):
        page.goto(TRAP)
        expect(page.locator("#model code")).to_be_visible()
        expect(page.locator("#snapshot")).to_be_hidden()


def test_an_alert_is_acknowledged_by_name_and_can_be_looked_up_when_it_is_over(page: Page, site: Site):
    at_ms = wall_clock_ms()
    with site.engine.begin() as connection:
        opened_ms = at_ms - 7_200_000
        over = Alert("demo", "t1", "disk", "closed", opened_ms, "demo/t1: disk was full", closed_ms=at_ms - 3_600_000)
        alerts.keep(connection, [Alert("demo", "t1", "silent", "open", opened_ms, "demo/t1: said nothing"), over])
    page.goto("/alerts")
    rows = page.locator("#alerts tbody tr")
    expect(rows).to_have_count(1)
    expect(page.locator("#nav-alerts")).to_have_text("1")
    rows.get_by_role("button", name="Acknowledge").click()
    expect(rows).to_contain_text("admin-")
    expect(rows.get_by_role("button")).to_have_count(0)
    expect(page.locator("#count")).to_have_text("0 open alerts")
    expect(page.locator("#nav-alerts")).to_be_hidden()
    page.check("#closed")
    expect(rows).to_have_count(2)
    expect(page.locator("#alerts")).to_contain_text("disk was full")


def test_a_token_is_shown_once_lets_a_machine_in_and_is_refused_when_revoked(page: Page, site: Site):
    page.goto("/operate?tab=tokens")
    page.fill('input[name="name"]', "grafana")
    page.click("form .primary")
    secret = page.locator("#dialog .secret").inner_text()
    page.click("#dialog .primary")
    headers = {"authorization": f"Bearer {secret}"}
    assert httpx.get(f"{site.url}/api/v1/fleet", headers=headers).status_code == 200
    page.reload()
    row = page.locator("#tokens tbody tr", has_text="grafana")
    expect(row).to_contain_text("good")
    assert secret not in page.content()
    page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("revoked")
    assert httpx.get(f"{site.url}/api/v1/fleet", headers=headers).status_code == 401


def test_somebody_is_invited_changed_and_shut_out_and_the_log_tells_of_it(browser: Browser, page: Page, site: Site):
    page.goto("/operate?tab=people")
    page.fill('input[name="name"]', "nia")
    page.click("form .primary")
    link = page.locator("#dialog .secret").inner_text()
    page.click("#dialog .primary")
    row = page.locator("#people tbody tr", has_text="nia")
    expect(row).to_contain_text("no password yet")
    with opened(browser, site, role=None) as (hers, watch):
        hers.goto(link)
        hers.fill('input[name="password"]', "seven quiet herons")
        hers.fill('input[name="again"]', "seven quiet herons")
        hers.click("main button")
        expect(hers.locator("#account")).to_contain_text("nia")
        hers.goto(link)
        expect(hers.locator(".refusal")).to_contain_text("used up")
        watch.wrong = [one for one in watch.wrong if "410" not in one]
    page.once("dialog", lambda dialog: dialog.dismiss())
    row.locator("select").select_option("operator")
    expect(row.locator("select")).to_have_value("viewer")  # as it is, for the change was not confirmed
    page.on("dialog", lambda dialog: dialog.accept())
    row.locator("select").select_option("operator")
    expect(row.locator("select")).to_have_value("operator")
    row.get_by_role("button", name="Shut out").click()
    expect(row).to_contain_text("shut out")
    page.click("#tab-audit")
    expect(page.locator("#audit")).to_contain_text("people.change")
    expect(page.locator("#audit tbody tr").first).to_contain_text("nia")


def test_a_link_that_lets_in_without_a_password_is_good_once(browser: Browser, site: Site):
    with site.engine.begin() as connection:
        secret = links.issue(
            connection, "enter", people.add(connection, "otto", "viewer", wall_clock_ms()), wall_clock_ms()
        )
    with opened(browser, site, role=None, locale="es-MX") as (page, watch):
        page.goto(f"/enter/{secret}")
        expect(page.locator("#account")).to_contain_text("otto")
        page.click("#sign-out")
        expect(page).to_have_url(re.compile("/login"))
        page.goto(f"/enter/{secret}")
        expect(page.locator(".refusal")).to_contain_text("enlace")
        watch.wrong = [one for one in watch.wrong if "410" not in one]


def begin_rollout(site: Site) -> None:
    """A bundle on its way to every trap."""
    digest, at_ms = "ab" * 32, wall_clock_ms()
    signature = Signature(digest=digest, key="0" * 64, signature="0" * 128, signed_at_s=1)
    file = BundleFile(name="new.tflite", size=1000, sha256=digest)
    bundle = PublishedBundle(name=file.name, model="edge-7", model_sha256=digest, signature=signature, files=(file,))
    plan = Plan.model_validate({"rings": ("100%",)})
    with site.engine.begin() as connection:
        rollouts.keep_bundle(connection, bundle, at_ms)
        rollouts.create(connection, bundle, plan, url=site.url, tenant=None, now_ms=at_ms, new_id="ab" * 8)
        rollouts.command(connection, "ab" * 8, "running", at_ms)


def test_a_rollout_shows_its_rings_and_the_traps_in_them(page: Page, site: Site):
    begin_rollout(site)
    page.goto("/operate?tab=rollouts")
    card = page.locator("#panel .card")
    expect(card).to_contain_text("running")
    expect(card.locator("tbody tr")).to_have_count(1)
    card.get_by_role("button", name="Traps").click()
    expect(card).to_contain_text("demo/t1")


def test_what_is_named_twice_is_refused_in_words(browser: Browser, site: Site):
    with opened(browser, site) as (page, watch):
        page.goto("/operate?tab=people")
        page.fill('input[name="name"]', "kai")
        page.click("form .primary")
        page.click("#dialog .primary")
        page.fill('input[name="name"]', "kai")
        page.click("form .primary")
        expect(page.locator("#messages")).to_contain_text("kai")
        watch.wrong = [one for one in watch.wrong if "422" not in one]


def test_an_administrator_finds_every_tab_by_keyboard(page: Page):
    page.goto("/operate?tab=places")
    page.locator("#tab-places").focus()
    for tab in ("enrol", "rollouts", "people", "tokens", "audit"):
        page.keyboard.press("ArrowRight")
        expect(page.locator(f"#tab-{tab}")).to_have_attribute("aria-selected", "true")
        expect(page.locator("#panel .loading")).to_have_count(0)
        assert f"tab={tab}" in page.url


OLD, NEW = "seven quiet herons", "nine loud cormorants"


def test_a_person_changes_their_password_by_keyboard_and_their_other_sessions_end(browser: Browser, site: Site):
    with opened(browser, site, role=None) as (elsewhere, _), opened(browser, site, role=None) as (page, watch):
        with site.engine.begin() as connection:
            found = people.add(connection, "vera", "viewer", wall_clock_ms())
            people.set_password(connection, found, hash_password(OLD))
        for one in (elsewhere, page):
            log_in(one, "vera", OLD)
        page.focus("#account")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Your account")
        page.focus("input[name=old]")
        type_in(page, "a wrong old password", NEW, NEW)
        expect(page.locator("#messages")).to_contain_text("The current password is wrong.")
        type_in(page, OLD, NEW, NEW + "x")
        assert page.evaluate("document.querySelector('[name=again]').validationMessage") == "The two passwords differ."
        page.focus("input[name=old]")
        type_in(page, OLD, NEW, NEW)
        expect(page.locator("#messages")).to_contain_text("every other session of yours has ended")
        expect(page.locator("input[name=old]")).to_have_value("")
        page.goto("/quality")
        expect(page.locator("#account")).to_contain_text("vera")
        elsewhere.goto("/quality")
        expect(elsewhere).to_have_url(re.compile("/login"))
        log_in(elsewhere, "vera", NEW)
        watch.wrong = [one for one in watch.wrong if "403" not in one]
    assert "set password" in [row["action"] for row in rows(site.engine, schema.audit) if row["who"] == "vera"]


def log_in(page: Page, name: str, password: str) -> None:
    page.goto("/login")
    page.fill("input[name=name]", name)
    page.fill("input[name=password]", password)
    page.click("main button")
    expect(page.locator("#account")).to_contain_text(name)


def type_in(page: Page, *words: str) -> None:
    """Each into its field, from the one that has the focus on, and Enter."""
    for number, one in enumerate(words):
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.type(one)
        page.keyboard.press("Tab" if number < len(words) - 1 else "Enter")
