"""Crops in a real Chromium: on the trap's page as they are stored, and labelled as fast as somebody types."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, Route, expect
from trap_contract.topics import EVIDENCE
from trap_server import schema
from trap_server.app import wall_clock_ms
from waiting import until

from server.pages import Site, opened, running_browser, running_site
from server.running import rows
from server.test_pages import a_crop, stored
from server.traps import FakeTrap, make_window

pytestmark = pytest.mark.timeout(240)

CROPS = 6
IN_VIEW = "() => document.querySelector('#stage img')?.naturalWidth > 0"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with one trap and its crops."""
    with running_site(tmp_path_factory.mktemp("crops")) as site:
        with FakeTrap(site.broker_port) as trap:
            trap.introduce()
            trap.send(make_window(1, wall_ms=wall_clock_ms() - 60_000))
            send_crops(site, trap, 0, CROPS)
            until(lambda: trap.holds_acks_for(1), "the trap is known")
        yield site


@pytest.fixture
def site(kept: Site) -> Iterator[Site]:
    """Without the labels of the tests before."""
    yield kept
    with kept.engine.begin() as connection:
        connection.execute(sa.delete(schema.labels))


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    with opened(browser, site) as (page, _):
        yield page


def send_crops(site: Site, trap: FakeTrap, first: int, end: int) -> None:
    before = stored(site, schema.evidence)
    for number in range(first, end):
        trap.send_raw(a_crop(number).model_dump_json(), EVIDENCE)
    until(lambda: stored(site, schema.evidence) == before + end - first, "the crops are stored")


@dataclass
class Slow:
    """Holds what a page says about labels, until it is let through."""

    page: Page
    held: list[Route]

    def let_through(self) -> None:
        for route in self.held:
            route.continue_()
        self.page.unroute("**/api/v1/review/labels")


@pytest.fixture
def slow(page: Page) -> Slow:
    held = Slow(page, [])
    page.route("**/api/v1/review/labels", lambda route: held.held.append(route))
    return held


def press(page: Page, key: str) -> str:
    """A key, when the crop is in view; the number of that crop."""
    page.wait_for_function(IN_VIEW)
    in_view = page.locator("#stage img").get_attribute("src")
    page.keyboard.press(key)
    return Path(str(in_view)).stem


def labels_by_crop(site: Site) -> dict[str, object]:
    numbers = {row["evidence"]: str(row["id"]) for row in rows(site.engine, schema.evidence)}
    return {numbers[row["evidence"]]: row["label"] for row in rows(site.engine, schema.labels)}


def test_keys_pressed_while_a_label_is_on_its_way_label_the_crop_that_was_in_view(page: Page, site: Site, slow: Slow):
    page.goto("/review")
    first, second, third, again, last = [press(page, key) for key in ("1", "2", "n", "u", "1")]
    assert again not in (first, second, third), "after each key the next crop is in view"
    assert last == third, "what was taken back is in view again"
    expect(page.locator("#done li")).to_have_count(3)
    expect(page.locator("#progress")).to_contain_text(str(CROPS - 3))
    assert len(slow.held) == 1, "one thing is said at a time, in order"
    slow.let_through()
    told = {first: "Female", second: "Male", third: "Female"}
    until(lambda: page.evaluate("1") and labels_by_crop(site) == told, "what was typed is stored, each of its crop")
    expect(page.locator("#error")).to_contain_text("fewer than 30")
    expect(page.locator("#progress")).to_contain_text(str(CROPS - 3))


def test_a_label_that_the_server_refuses_brings_its_crop_back(browser: Browser, site: Site):
    with opened(browser, site) as (page, watch):
        page.route("**/api/v1/review/labels", lambda route: route.fulfill(status=503, json={"detail": "too busy"}))
        page.goto("/review")
        expect(page.locator("#progress")).to_contain_text(str(CROPS))
        refused = press(page, "1")
        expect(page.locator("#messages")).to_contain_text("too busy")
        expect(page.locator("#done li")).to_have_count(0)
        expect(page.locator("#progress")).to_contain_text(str(CROPS))
        page.unroute("**/api/v1/review/labels")
        assert press(page, "2") == refused
        until(lambda: page.evaluate("1") and labels_by_crop(site) == {refused: "Male"}, "it is stored in the end")
        watch.wrong = [one for one in watch.wrong if "503" not in one]


def test_nobody_labels_a_picture_that_has_not_come_or_by_holding_a_key_down(page: Page, site: Site, slow: Slow):
    pictures: list[Route] = []
    page.route("**/api/v1/evidence/*.jpg", lambda route: pictures.append(route))
    page.goto("/review")
    expect(page.locator("#choices button").first).to_be_visible()
    page.keyboard.press("1")
    expect(page.locator("#done li")).to_have_count(0)
    for route in pictures:
        route.continue_()
    page.unroute("**/api/v1/evidence/*.jpg")
    page.wait_for_function(IN_VIEW)
    page.keyboard.down("1")
    page.keyboard.down("1")  # a second time without going up: a repetition
    expect(page.locator("#done li")).to_have_count(1)
    slow.let_through()
    until(lambda: page.evaluate("1") and len(labels_by_crop(site)) == 1, "one is stored")


def test_a_page_with_labels_on_their_way_is_not_left_in_silence(page: Page, slow: Slow):
    page.goto("/review")
    press(page, "1")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.close(run_before_unload=True)
    until(lambda: page.evaluate("1") and asked == ["beforeunload"], "the browser asks first")
    slow.let_through()


def test_a_crop_appears_on_the_open_page_of_its_trap_when_it_is_stored(page: Page, site: Site):
    page.goto("/traps/demo/t1")
    expect(page.locator("#evidence figure")).to_have_count(CROPS)
    expect(page.locator("#link")).to_have_attribute("data-link", "live")
    older = page.locator("#evidence figure").first.element_handle()
    with FakeTrap(site.broker_port) as trap:
        send_crops(site, trap, CROPS, CROPS + 1)
    expect(page.locator("#evidence figure")).to_have_count(CROPS + 1)
    newest = max(row["id"] for row in rows(site.engine, schema.evidence))
    expect(page.locator("#evidence img").first).to_have_attribute("src", f"/api/v1/evidence/{newest}.jpg")
    assert older.evaluate("(figure) => figure.isConnected"), "those that were there stay as they are"
