"""The real site for a browser: a broker, ingest, a database, the web server, and a window into what pages do wrong."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
import uvicorn
from brokers import running_broker
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright
from trap_deploy.ports import free_port
from trap_server.accounts import front_door, people
from trap_server.accounts.callers import Role
from trap_server.api.entry import COOKIE
from trap_server.app import build_app, wall_clock_ms
from trap_server.dashboard.basemap import OUTLINES, Basemap
from trap_server.database import open_database, open_for_reading
from waiting import until

from server.running import running_ingest


@dataclass
class Site:
    """One site; the web server can be stopped and started under open pages."""

    database: str
    engine: sa.Engine
    broker_port: int
    port: int
    fleet: Path
    ground: Basemap = OUTLINES
    server: uvicorn.Server | None = None
    thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def session(self, role: Role) -> str:
        """The cookie of somebody who has come in."""
        now_ms = wall_clock_ms()
        with self.engine.begin() as connection:
            name = f"{role}-{uuid4().hex[:8]}"
            return front_door.begin(connection, people.add(connection, name, role, now_ms), "", now_ms)

    def start(self) -> None:
        reading = open_for_reading(self.database)
        app = build_app(reading, self.engine, fleet_folder=self.fleet, ground=self.ground)
        configuration = uvicorn.Config(app, port=self.port, log_level="error", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(configuration)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until(lambda: self.server.started, "the web server listens")

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


def a_fleet(folder: Path) -> Path:
    """An authority of its own, by `trap-fleet init`."""
    (folder / "passphrase").write_text("of a test only, and long enough\n")
    (folder / "passphrase").chmod(0o600)
    line = [sys.executable, "-m", "trap_server.fleet_commands", "init", folder / "fleet", "--host", "broker.example"]
    line += ["--passphrase-file", folder / "passphrase"]
    subprocess.run(line, check=True, capture_output=True)
    return folder / "fleet"


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    database = f"sqlite:///{folder / 'counts.db'}"
    engine = open_database(database)
    with running_broker(folder) as broker, running_ingest(broker.url, engine):
        site = Site(database, engine, broker.port, free_port(), a_fleet(folder))
        site.start()
        try:
            yield site
        finally:
            site.stop()
    engine.dispose()


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Debian's Chromium; skips the tests where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a page did that it should not."""

    hosts: tuple[str, ...]
    wrong: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"uncaught: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.wrong.append(f"{message.type}: {message.text} at {message.location.get('url')}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((*self.hosts, "blob:", "data:")):
            self.wrong.append(f"asked another host: {request.url}")


@contextmanager
def opened(browser: Browser, site: Site, **options: Any) -> Iterator[tuple[Page, Watch]]:
    """A page of a reader in Manaus; on leaving, whatever was wrong fails the test."""
    role, hosts = options.pop("role", "admin"), (site.url, *options.pop("also", ()))
    settings: dict[str, Any] = {"timezone_id": "America/Manaus", "locale": "en-GB", "base_url": site.url} | options
    context: BrowserContext = browser.new_context(**settings)
    context.set_default_timeout(45_000)
    if role is not None:
        context.add_cookies([{"name": COOKIE, "value": site.session(role), "url": site.url}])
    watch = Watch(hosts)
    page = context.new_page()
    watch.follow(page)
    try:
        yield page, watch
        assert watch.wrong == [], "\n".join(watch.wrong)
    finally:
        context.close()
