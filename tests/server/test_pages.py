"""The pages in a real Chromium, before a real broker, ingest, database and web server, with simulated traps."""

import base64
import io
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from npm import package
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect
from trap_contract.messages import Clock, Evidence, Health
from trap_contract.topics import EVIDENCE, HEALTH
from trap_server import deployments, schema
from trap_server.accounts import links, people
from trap_server.api.entry import COOKIE
from trap_server.nights import Deployment
from waiting import until

from server.pages import Site, opened, running_browser, running_site
from server.traps import BOOT, MODEL, FakeTrap, make_window

pytestmark = pytest.mark.timeout(240)

expect.set_options(timeout=30_000)

MINUTE_MS = 60_000
PAGES = ("/", "/traps/demo/t1", "/nights", "/quality", "/review", "/alerts", "/operate?tab=places", "/account")
SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with one trap that counted for two hours, but for ten minutes; a place is called like a script."""
    with running_site(tmp_path_factory.mktemp("pages")) as site:
        with site.engine.begin() as connection:
            deployments.add(connection, a_place("t1", SCRIPT))
        with FakeTrap(site.broker_port) as trap:
            trap.introduce(semantics="arrivals")
            begin = now_ms() - 120 * MINUTE_MS
            minutes = [minute for minute in range(1, 116) if not 50 <= minute < 60]
            windows = [counted(minute, begin + minute * MINUTE_MS) for minute in minutes]
            for first in range(0, len(windows), 50):
                trap.send(*windows[first : first + 50])
            for number in range(3):
                trap.send_raw(a_crop(number).model_dump_json(), EVIDENCE)
            until(lambda: trap.holds_acks_for(len(windows)), "all windows are stored")
            until(lambda: stored(site, schema.evidence) == 3, "the crops are stored")
        yield site


def a_place(trap: str, name: str) -> Deployment:
    begins = now_ms() - 40 * 24 * 60 * MINUTE_MS
    where = {"site": "S1", "latitude": -3.1, "longitude": -60.0, "timezone": "America/Manaus"}
    return Deployment(trap=trap, tenant="demo", name=name, bait="CO2", trap_type="BG", begins_ms=begins, **where)


def counted(seq: int, wall_ms: int, females: int = 2):
    return make_window(seq, females=females, males=1, wall_ms=wall_ms, semantics="arrivals")


def a_crop(number: int) -> Evidence:
    picture = Image.new("RGB", (96, 96), (210, 205, 190))
    ImageDraw.Draw(picture).ellipse((30, 34, 62, 60), fill=(40, 30 + number, 30))
    data = io.BytesIO()
    picture.save(data, "JPEG")
    return Evidence.model_validate(
        {
            "trap": "t1",
            "id": f"{number + 1:032x}",
            "kind": "crop",
            "reason": "sample" if number else "uncertain",
            "wall_ms": now_ms(),
            "clock": Clock(synced=True, source="ntp"),
            "model": MODEL,
            "frame_px": (1920, 1080),
            "area": (100, 100, 196, 196),
            "window": {"boot": BOOT, "seq": 1},
            "box": (130.0, 134.0, 162.0, 160.0),
            "scores": {"Female": 0.5 + number / 100, "Male": 0.3},
            "jpeg": base64.b64encode(data.getvalue()).decode(),
        }
    )


def stored(site: Site, table: sa.Table) -> int:
    with site.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with opened(browser, site) as (page, _):
        yield page


def test_a_count_shows_on_the_fleet_page_when_it_is_stored(page: Page, site: Site):
    page.goto("/")
    expect(page.locator("#link")).to_have_attribute("data-link", "live")
    row = page.locator('tr[data-trap="demo/t1"]')
    before = int(row.locator(".females").inner_text())
    with FakeTrap(site.broker_port) as trap:
        trap.send(counted(200, now_ms() - MINUTE_MS, females=30))
    expect(row.locator(".females")).to_have_text(str(before + 30))
    expect(page.locator("#sum-females")).to_contain_text(str(before + 30))


def test_a_place_that_is_called_like_a_script_is_only_text(page: Page):
    page.goto("/")
    expect(page.locator('tr[data-trap="demo/t1"] a').first).to_have_text(SCRIPT)
    page.goto("/traps/demo/t1")
    expect(page.locator("#name")).to_have_text(SCRIPT)
    assert page.locator("img[src=x]").count() == 0


def test_the_trap_page_draws_the_gap_and_follows_the_newest_window(page: Page, site: Site):
    page.goto("/traps/demo/t1")
    chart = page.locator("#counts")
    expect(chart).to_have_attribute("data-drawn", "night")
    assert int(chart.get_attribute("data-gaps")) >= 1
    expect(page.locator("#gaps")).to_contain_text("not stored")
    assert hatched_share(page) > 0.004  # ten minutes of a day; a zero would draw no more than a line
    with FakeTrap(site.broker_port) as trap:
        trap.send(counted(201, now_ms() - MINUTE_MS, females=7))
    expect(page.locator("#newest")).to_contain_text("Female 7")


def hatched_share(page: Page) -> float:
    """Share of the canvas between the axes whose column has paint at mid height, well above the curve's zero."""
    return page.evaluate(
        """() => {
            const canvas = document.querySelector('#counts canvas');
            const y = Math.round(canvas.height * 0.15);
            const data = canvas.getContext('2d').getImageData(0, y, canvas.width, 6).data;
            let painted = 0;
            for (let x = 60; x < canvas.width - 20; x++) {
                for (let row = 0; row < 6; row++) if (data[(row * canvas.width + x) * 4 + 3] > 20) { painted++; break; }
            }
            return painted / canvas.width;
        }"""
    )


def test_periods_corrections_and_climate_can_be_chosen(page: Page):
    page.goto("/traps/demo/t1")
    for period in ("week", "season", "night"):
        page.click(f'[data-period="{period}"]')
        expect(page.locator("#counts")).to_have_attribute("data-drawn", period)
    page.click('[data-kind="corrected"]')
    expect(page.locator("#remark")).to_contain_text("No corrected counts here")
    page.check("#climate")
    expect(page.locator("#profile .bars")).to_be_visible()


def test_a_reader_can_change_the_language_and_the_theme(page: Page):
    page.goto("/")
    page.select_option("#language", "es")
    expect(page.locator("h1")).to_have_text("Trampas esta noche")
    assert page.locator("html").get_attribute("lang") == "es"
    page.select_option("#theme", "dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/nights")
    expect(page.locator("h1")).to_have_text("Noches-trampa")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_search_sort_and_state_filter_the_fleet_and_can_be_shared(page: Page):
    page.goto("/?search=nothing-like-it")
    expect(page.locator("#no-match")).to_be_visible()
    page.fill("#search", "S1")
    expect(page.locator("#rows tr")).to_have_count(1)
    page.click('[data-sort="females"]')
    assert "sort=females" in page.url
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Females")


def test_the_night_table_flags_nights_and_compares_sites_and_periods(page: Page, site: Site):
    with FakeTrap(site.broker_port) as trap:
        trap.send(make_window(1, boot="4" * 32, wall_ms=now_ms() - 30 * 60 * MINUTE_MS, semantics="arrivals"))
        until(lambda: trap.holds_acks_for(1), "a minute of the night before is stored")
    page.goto("/nights")
    expect(page.locator("#rows tr")).not_to_have_count(0)
    over = page.locator("#rows tr").filter(has_not_text="still running")
    expect(over.first).to_contain_text("coverage < 80")
    page.select_option("#view", "sites")
    expect(page.locator("#head")).to_contain_text("Females a night")
    page.select_option("#view", "periods")
    expect(page.locator("#head")).to_contain_text("Change")


def test_the_night_table_fits_on_paper_with_all_its_columns(page: Page):
    page.set_viewport_size({"width": 1030, "height": 700})  # a sheet of A4 lying down, without its margins
    page.goto("/nights")
    expect(page.locator("#rows tr")).not_to_have_count(0)
    page.emulate_media(media="print")
    assert page.evaluate("document.querySelector('#table').scrollWidth <= innerWidth"), "columns are cut off"
    assert page.locator("#filters").is_hidden()
    assert page.locator("#head th").count() == 12


def test_data_quality_names_what_is_missing_and_refused(page: Page, site: Site):
    with FakeTrap(site.broker_port, name="t2") as trap:
        trap.introduce(boot="2" * 32, site="The mill")
        trap.send_raw("not json")
        trap.send(make_window(1, boot="2" * 32, wall_ms=now_ms()))
        until(lambda: stored(site, schema.quarantine) == 1, "the malformed message is kept")
        until(lambda: trap.holds_acks_for(1), "its window is stored")
    page.goto("/quality")
    expect(page.locator("#owed")).to_contain_text("demo/t1")
    expect(page.locator("#unclaimed tr", has_text="demo/t2")).to_contain_text("The mill")
    expect(page.locator("#quarantined")).to_contain_text("mt/v1/demo/t2/counts")


def press_at_picture(page: Page, key: str) -> None:
    """A key, when the crop is in view: before, it counts for nothing."""
    page.wait_for_function("() => document.querySelector('#stage img')?.naturalWidth > 0")
    page.keyboard.press(key)


def test_crops_are_labelled_by_keys_and_become_training_data(page: Page, site: Site, tmp_path: Path):
    page.goto("/review")
    expect(page.locator("#says")).to_contain_text("The model says Female")
    for key, labelled in (("2", 1), ("n", 2), ("u", 1), ("1", 2)):
        press_at_picture(page, key)
        expect(page.locator("#done li")).to_have_count(labelled)
    until(lambda: stored(site, schema.labels) == 2, "two labels are stored")
    expect(page.locator("#error")).to_contain_text("fewer than 30")
    with page.expect_download() as download:
        page.click("#dataset")
    zipfile.ZipFile(download.value.path()).extractall(tmp_path / "labels")
    program = Path(sys.executable).parent / "trap-data"
    line = [program, "import", tmp_path / "labels", "--out", tmp_path / "set"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    boxes = [file.read_text().split() for file in (tmp_path / "set").rglob("labels/**/*.txt")]
    assert sorted(box[0] for box in boxes) == ["0", "1"]
    assert all(float(box[1]) == pytest.approx(46 / 96, abs=0.01) for box in boxes)


def test_a_note_is_kept_beside_the_counts(page: Page):
    page.goto("/traps/demo/t1")
    page.select_option("#note-kind", "bait")
    page.fill("#note-text", "CO2 bottle changed")
    page.click("#note-form button")
    expect(page.locator("#notes")).to_contain_text("CO2 bottle changed")


def test_what_the_board_tells_comes_to_an_open_page_within_a_minute(page: Page, site: Site):
    page.clock.install()
    page.goto("/traps/demo/t1")
    expect(page.locator("#health-time")).to_contain_text("not reported in the last two days")
    with FakeTrap(site.broker_port) as trap:
        board = Health(trap="t1", boot=BOOT, wall_ms=now_ms(), soc_celsius=61)
        trap.send_raw(board.model_dump_json(), HEALTH)
        until(lambda: stored(site, schema.health) == 1, "it is stored")
    page.clock.run_for(60_000)
    expect(page.locator("#health")).to_contain_text("61")


def test_nights_are_downloaded_as_a_table_that_opens(page: Page):
    page.goto("/nights")
    expect(page.locator("#rows tr")).not_to_have_count(0)
    with page.expect_download() as download:
        page.click("#download")
    with zipfile.ZipFile(download.value.path()) as archive:
        table = next(name for name in archive.namelist() if name.endswith(".csv"))
        assert b"t1" in archive.read(table)


def test_a_trap_is_enrolled_with_a_code_and_files_for_its_card(page: Page):
    page.goto("/operate?tab=enrol")
    page.fill('input[name="trap"]', "new-trap")
    page.click("form .primary")
    expect(page.locator("#dialog .qr svg")).to_be_visible()
    with page.expect_download() as download:
        page.click('#dialog a[download="trap.toml"]')
    assert "new-trap" in Path(download.value.path()).read_text()
    assert len(page.locator("#dialog .secret").inner_text()) > 30


def test_a_trap_gets_a_place_from_the_page(page: Page, site: Site):
    with FakeTrap(site.broker_port, name="t3") as trap:
        trap.send(make_window(1, boot="3" * 32, wall_ms=now_ms()))
        until(lambda: trap.holds_acks_for(1), "it is known")
    page.goto("/operate?tab=places&trap=demo/t3")
    page.fill('input[name="site"]', "S9")
    page.fill('input[name="latitude"]', "-3.2")
    page.fill('input[name="longitude"]', "-60.1")
    page.click("form .primary")
    expect(page.locator("#places")).to_contain_text("S9")


def test_a_server_restarted_under_an_open_page_costs_it_nothing(browser: Browser, site: Site):
    with opened(browser, site) as (page, watch):
        page.goto("/traps/demo/t1")
        expect(page.locator("#link")).to_have_attribute("data-link", "live")
        site.stop()
        expect(page.locator("#link")).to_have_attribute("data-link", "lost")
        with FakeTrap(site.broker_port) as trap:
            trap.send(counted(202, now_ms() - MINUTE_MS, females=11))
            until(lambda: trap.holds_acks_for(1), "it is stored while no page can be served")
        site.start()
        expect(page.locator("#newest")).to_contain_text("Female 11")
        expect(page.locator("#link")).to_have_attribute("data-link", "live")
        watch.wrong = [
            one for one in watch.wrong if "ERR_CONNECTION_REFUSED" not in one and "ERR_INCOMPLETE" not in one
        ]


def test_somebody_invited_sets_a_password_logs_in_and_comes_back_to_the_page(browser: Browser, site: Site):
    with site.engine.begin() as connection:
        secret = links.issue(connection, "password", people.add(connection, "rosa", "viewer", now_ms()), now_ms())
    with opened(browser, site, role=None) as (page, _):
        page.goto("/nights?view=sites")
        expect(page).to_have_url(re.compile("/login"))
        page.goto(f"/welcome/{secret}")
        page.fill('input[name="password"]', "seven quiet herons")
        page.fill('input[name="again"]', "seven quiet herons")
        page.click("main button")
        expect(page.locator("#account")).to_contain_text("rosa")
        page.click("#sign-out")
        expect(page).to_have_url(re.compile("/login"))
        page.goto("/quality")
        page.fill('input[name="name"]', "rosa")
        page.fill('input[type="password"]', "seven quiet herons")
        page.click("main button")
        expect(page).to_have_url(re.compile("/quality"))


def test_a_session_that_has_ended_leads_to_the_login_and_back(browser: Browser, site: Site):
    with opened(browser, site) as (page, watch):
        page.goto("/quality")
        expect(page.locator("#owed table")).to_be_visible()
        page.context.clear_cookies()
        page.click("#again")
        expect(page).to_have_url(re.compile(r"/login\?next=%2Fquality"))
        watch.wrong = [one for one in watch.wrong if "401" not in one]


def test_a_viewer_can_look_and_not_change(browser: Browser, site: Site):
    with opened(browser, site, role="viewer") as (page, _):
        page.goto("/operate?tab=people")
        expect(page.locator("#panel")).to_contain_text("This needs the role administrator")
        page.goto("/review")
        expect(page.locator("#choices button").first).to_be_disabled()


@pytest.mark.parametrize("query", ["limit=1000000", "since=2026-02-30", "cursor=x", "until=9999999"])
def test_a_request_beyond_all_bounds_is_refused(site: Site, query: str):
    cookies = {COOKIE: site.session("viewer")}
    assert httpx.get(f"{site.url}/api/v1/nights?{query}", cookies=cookies).status_code == 422


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_serious_barrier_on_a_phone_or_in_the_dark(browser: Browser, site: Site, path: str):
    axe = (package("axe-core@4.14.1") / "axe.min.js").read_text()
    for options in ({"color_scheme": "light"}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}):
        with opened(browser, site, bypass_csp=True, **options) as (page, _):
            page.goto(path)
            page.wait_for_load_state("load")
            expect(page.locator(".loading:visible")).to_have_count(0)
            page.evaluate(axe)
            found = page.evaluate("axe.run().then(({violations}) => violations)")
            serious = [one for one in found if one["impact"] in {"serious", "critical"}]
            assert [
                (one["id"], one["nodes"][0]["html"][:160], one["nodes"][0]["failureSummary"]) for one in serious
            ] == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), "the page scrolls sideways"


def test_a_watch_sees_what_goes_wrong(browser: Browser, site: Site):
    """The other tests rely on it."""
    with opened(browser, site) as (page, watch):
        page.goto("/")
        page.evaluate("console.error('made to fail')")
        until(lambda: page.evaluate("1") and watch.wrong, "the message arrives")
        assert "made to fail" in watch.wrong[0]
        watch.wrong.clear()
