"""The operator's own map: which there may be, what the policy allows for it, and that Chromium shows it."""

import http.server
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from trap_contract.errors import ConfigError
from trap_deploy.ports import free_port
from trap_server import deployments
from trap_server.app import wall_clock_ms
from trap_server.dashboard.basemap import ARCHIVE, OUTLINES, Basemap, basemap_of
from trap_server.database import open_database
from trap_server.nights import Deployment
from trap_server.settings import read_settings
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

from server.archives import PNG, VECTOR, archive, png, sea
from server.pages import Site, opened, running_browser
from server.traps import make_batch, make_window

GREEN = (20, 160, 60)
PAINTED = """wanted => [...document.querySelectorAll('canvas.leaflet-tile')].some(tile => {
    const found = tile.getContext('2d').getImageData(9, 9, 1, 1).data;
    return wanted.every((value, at) => found[at] === value);
})"""


@pytest.mark.parametrize(
    ("tiles", "gained"),
    [
        ("", ""),
        ("https://tiles.example/osm/{z}/{x}/{y}.png", "; img-src 'self' data: https://tiles.example"),
        ("http://10.0.0.7:8080/{z}/{x}/{-y}.jpg?key=1", "; img-src 'self' data: http://10.0.0.7:8080"),
        ("/tiles/{z}/{x}/{y}.png", "; img-src 'self' data:"),
        ("https://maps.example/a.pmtiles", "; img-src 'self' blob:; connect-src 'self' https://maps.example"),
    ],
)
def test_the_policy_gains_the_origin_of_the_map_and_nothing_else(tiles: str, gained: str):
    policy = read_settings(map_tiles=tiles).basemap.policy
    assert policy == OUTLINES.policy + gained


def test_an_archive_on_this_machine_is_handed_out_by_this_server(tmp_path: Path):
    file = tmp_path / "country.pmtiles"
    file.write_bytes(b"")
    found = read_settings(map_tiles=str(file), map_attribution="us").basemap
    assert found == Basemap(ARCHIVE, "us", file)
    assert found.policy == OUTLINES.policy + "; img-src 'self' blob:; connect-src 'self'"


@pytest.mark.parametrize(
    "tiles",
    [
        "https://tiles.example/",
        "https://{s}.tiles.example/{z}/{x}/{y}.png",
        "https://tiles.example; script-src *//{z}/{x}/{y}.png",
        "ftp://tiles.example/{z}/{x}/{y}.png",
        "/no/such/file.pmtiles",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_map_is_refused_by_the_name_of_the_setting(tiles: str):
    with pytest.raises(ConfigError, match="MAP_TILES"):
        read_settings(map_tiles=tiles)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, and one tile for every tile that is asked for."""

    def translate_path(self, path: str) -> str:
        return super().translate_path("/tile.png" if path.endswith(".png") else path)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def tiles(tmp_path: Path) -> Iterator[str]:
    """The address of an operator's tile server."""
    (tmp_path / "tile.png").write_bytes(png(GREEN))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


def a_site(folder: Path, basemap: Basemap) -> Site:
    """A site with one trap that has a place, and no broker."""
    database, at_ms = f"sqlite:///{folder / 'counts.db'}", wall_clock_ms()
    engine = open_database(database)
    window = make_batch([make_window(1, wall_ms=at_ms - 60_000)])
    Store(engine, "c").commit(sort_arrivals([Arrival("mt/v1/demo/t1/counts", window, False, at_ms)]))
    with engine.begin() as connection:
        deployments.add(connection, Deployment("t1", "demo", "S", "Equator", 0.0, 0.0, "UTC", "", "", begins_ms=0))
    return Site(database, engine, 0, free_port(), folder, basemap)


@pytest.mark.parametrize("source", ["template", "pictures", "vectors"])
def test_chromium_shows_the_map_under_the_traps_and_asks_no_other_host(
    browser: Browser, tmp_path: Path, tiles: str, source: str
):
    (tmp_path / "world.pmtiles").write_bytes(
        archive(png(GREEN), PNG) if source == "pictures" else archive(sea(), VECTOR)
    )
    address = f"{tiles}/{{z}}/{{x}}/{{y}}.png" if source == "template" else str(tmp_path / "world.pmtiles")
    site = a_site(tmp_path, basemap_of(address, "" if source == "pictures" else "Chart & co <i>"))
    site.start()
    try:
        with opened(browser, site, also=(tiles,)) as (page, watch):
            page.goto("/")
            expect(page.locator(".leaflet-tile-loaded").first).to_be_attached()
            thanked = "Chart of nobody" if source == "pictures" else "Chart & co <i>"
            expect(page.locator(".leaflet-control-attribution")).to_have_text(thanked)
            loaded = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
            assert any("pmtiles.js" in one for one in loaded) == (source != "template")
            assert any("protomaps-leaflet.js" in one for one in loaded) == (source == "vectors")
            if source == "vectors":
                page.wait_for_function(PAINTED, arg=[128, 222, 234])
                page.select_option("#theme", "dark")
                page.wait_for_function(PAINTED, arg=[49, 53, 63])
            watch.wrong = [one for one in watch.wrong if not re.search("silent|ingest", one)]
    finally:
        site.stop()
        site.engine.dispose()


def test_a_map_that_cannot_be_had_is_told_and_the_outlines_stay(browser: Browser, tmp_path: Path):
    gone = f"http://127.0.0.1:{free_port()}"
    site = a_site(tmp_path, basemap_of(f"{gone}/world.pmtiles", ""))
    site.start()
    try:
        with opened(browser, site, also=(gone,)) as (page, watch):
            page.goto("/")
            expect(page.locator("#messages")).to_contain_text("outlines are shown alone")
            expect(page.locator("#map canvas").first).to_be_attached()
            watch.wrong = [one for one in watch.wrong if "ERR_CONNECTION_REFUSED" not in one]
    finally:
        site.stop()
        site.engine.dispose()
