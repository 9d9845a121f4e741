"""What a trap's page draws and the night table gives away, in a real Chromium; and what readers may not ask for."""

import re
import zipfile
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from trap_contract.messages import Corrected, Health
from trap_contract.topics import HEALTH
from trap_server import deployments, schema
from trap_server.api.entry import COOKIE
from trap_server.app import wall_clock_ms
from waiting import until

from server.pages import Site, opened, running_browser, running_site
from server.test_pages import a_place, stored
from server.traps import BOOT, FakeTrap, make_window

pytestmark = pytest.mark.timeout(240)

MINUTE_MS = 60_000
MINUTES = 240
SCRIPT = "<img src=x onerror=alert(1)>"
TRUE = {"Female": Corrected(estimate=2.5, low=1.5, high=3.5), "Male": Corrected(estimate=0.5, low=0.2, high=0.8)}
FORMATS = ("csv", "parquet", "vectorsurv", "dwca", "camtrap", "miread", "vecdyn")
TRAP = "/api/v1/traps/demo/t1"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A trap that counted for four hours, corrected what it counted, and felt the air."""
    with running_site(tmp_path_factory.mktemp("numbers")) as site:
        with site.engine.begin() as connection:
            deployments.add(connection, a_place("t1", "Rio Claro"))
        with FakeTrap(site.broker_port) as trap:
            trap.introduce(semantics="arrivals")
            begin = wall_clock_ms() - MINUTES * MINUTE_MS
            changes = {"semantics": "arrivals", "corrected": TRUE}
            windows = [
                make_window(seq, females=2, males=1, wall_ms=begin + (seq - 1) * MINUTE_MS, **changes)
                for seq in range(1, MINUTES)
            ]
            for first in range(0, len(windows), 50):
                trap.send(*windows[first : first + 50])
            for celsius in (24.0, 25.0):
                air = Health(
                    trap="t1", boot=BOOT, wall_ms=wall_clock_ms(), air_celsius=celsius, humidity_percent=3 * celsius
                )
                trap.send_raw(air.model_dump_json(), HEALTH)
            until(lambda: trap.holds_acks_for(len(windows)), "all windows are stored")
            until(lambda: stored(site, schema.health) == 2, "the air is stored")
        yield site


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with opened(browser, site) as (page, _):
        yield page


def under_the_pointer(page: Page, share: float) -> str:
    """What the page says of the moment at this share of the chart's width."""
    over = page.locator("#counts .u-over").bounding_box()
    assert over is not None
    page.mouse.move(over["x"] + share * over["width"], over["y"] + over["height"] / 2)
    return page.locator("#point").inner_text()


def test_the_curve_tells_raw_and_corrected_counts_with_their_interval(page: Page):
    page.goto("/traps/demo/t1")
    expect(page.locator("#counts")).to_have_attribute("data-drawn", "night")
    until(lambda: "Females 20 · Males 10 · Coverage 100" in said(page), "ten minutes of two females and a male")
    page.click('[data-kind="corrected"]')
    expect(page.locator("#keys")).to_contain_text("95")
    expect(page.locator("#remark")).to_be_empty()
    until(lambda: "Females 25.0 · Males 5.0" in said(page), "what there truly were")


def said(page: Page) -> str:
    """All that the page says along the curve."""
    return " | ".join(under_the_pointer(page, share / 40) for share in range(1, 40))


def test_temperature_and_humidity_are_drawn_over_the_counts(page: Page):
    page.goto("/traps/demo/t1")
    expect(page.locator("#counts")).to_have_attribute("data-drawn", "night")
    page.check("#climate")
    expect(page.locator("#keys .dotted")).to_have_count(2)
    expect(page.locator("#remark")).to_be_empty()


def test_the_profile_gives_the_catch_of_an_hour_and_hatches_hours_never_watched(page: Page):
    page.goto("/traps/demo/t1")
    expect(page.locator("#profile .hour")).to_have_count(24)
    watched = page.locator("#profile .hour:not(.unseen)")
    assert 4 <= watched.count() <= 5
    assert "120" in str(watched.nth(1).get_attribute("title")), "two females a minute are 120 an hour"
    unseen = page.locator("#profile .hour.unseen")
    titles = [str(one.get_attribute("title")) for one in unseen.all()]
    assert len(titles) == 24 - watched.count()
    assert all(re.fullmatch(r"\d{1,2}:00: never watched", title) for title in titles), titles


def test_text_from_people_and_traps_is_only_text(page: Page, site: Site):
    page.goto("/traps/demo/t1")
    page.fill("#note-text", SCRIPT)
    page.click("#note-form button")
    expect(page.locator("#notes")).to_contain_text(SCRIPT)
    with FakeTrap(site.broker_port) as trap:
        trap.introduce(semantics="arrivals", board=SCRIPT)
    with FakeTrap(site.broker_port, name="t2") as trap:
        trap.send_raw(f'{{"trap": "{SCRIPT}"}}')
        until(lambda: stored(site, schema.quarantine) == 1, "it is kept")
    page.reload()
    expect(page.locator("#model")).to_contain_text(SCRIPT)
    page.goto("/quality")
    expect(page.locator("#quarantined")).to_contain_text("mt/v1/demo/t2/counts")
    page.goto(f"/nights?search={SCRIPT}")
    expect(page.locator("#loading")).to_be_hidden()
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("form", FORMATS)
def test_nights_are_downloaded_in_every_export_format(page: Page, form: str):
    page.goto("/nights")
    expect(page.locator("#rows tr")).not_to_have_count(0)
    assert sorted(page.locator("#format option").evaluate_all("all => all.map((one) => one.value)")) == sorted(FORMATS)
    page.select_option("#format", form)
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == f"zancudo-{form}.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert sum(one.file_size for one in archive.infolist()) > 0
        assert archive.testzip() is None


def test_a_download_that_is_refused_says_why_and_leaves_the_page(browser: Browser, site: Site):
    with opened(browser, site) as (page, watch):
        page.route("**/api/v1/exports/**", lambda route: route.fulfill(status=503, json={"detail": "two are written"}))
        page.goto("/nights")
        page.click("#download")
        expect(page.locator("#messages")).to_contain_text("two are written")
        expect(page.locator("#download")).to_be_enabled()
        watch.wrong = [one for one in watch.wrong if "503" not in one]


@pytest.mark.parametrize(
    "request_",
    [
        "/api/v1/hours?limit=1000000",
        f"{TRAP}/windows?limit=1000000",
        f"{TRAP}/curve?since=0&until=1000000000000000",
        f"{TRAP}/curve?since=0&until=1000000&step=1",
        f"{TRAP}/health?since=0&until=1&most=1000000",
        f"{TRAP}/evidence?limit=1000000",
        "/api/v1/review/queue?limit=1000000",
        "/api/v1/audit?limit=1000000",
        "/api/v1/events?after=-1",
    ],
)
def test_nobody_gets_a_million_rows_at_once(site: Site, request_: str):
    answer = httpx.get(f"{site.url}{request_}", cookies={COOKIE: site.session("admin")})
    assert answer.status_code == 422


def test_an_open_page_whose_session_has_ended_leads_to_the_login_by_itself(browser: Browser, site: Site):
    with opened(browser, site) as (page, watch):
        page.goto("/traps/demo/t1")
        expect(page.locator("#link")).to_have_attribute("data-link", "live")
        site.stop()  # the line breaks, and the page comes back without its session
        page.context.clear_cookies()  # not before: the old server could send it to a login that is gone a moment later
        site.start()
        page.wait_for_url("**/login?next=*")
        watch.wrong = [one for one in watch.wrong if not any(code in one for code in ("401", "ERR_"))]
