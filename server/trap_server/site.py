"""Processes: the web server, and ingest as its child that is started again whenever it ends."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import sqlalchemy as sa
import uvicorn
from trap_contract.backoff import Backoff
from trap_contract.errors import ConfigError
from trap_contract.logs import log

from trap_server.accounts import front_door, links
from trap_server.app import build_app, wall_clock_ms
from trap_server.database import open_database, open_for_reading
from trap_server.settings import PREFIX, Settings

GOODBYE_S = 10.0
PAGES_GOODBYE_S = 2


def run_site(settings: Settings) -> None:
    """Serve, with ingest beside, until SIGTERM or SIGINT.

    Raises ConfigError or StoreError when it can't begin.
    """
    settings.broker_address.tls_context()
    open_database(settings.database).dispose()
    listener = _listen(settings)
    child = IngestProcess(settings)
    child.start()
    try:
        _serve(settings, listener, child.ask_to_end)
    finally:
        child.stop()


def serve(settings: Settings) -> None:
    """Serve the API and the page until SIGTERM or SIGINT."""
    _serve(settings, _listen(settings), lambda: None)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise ConfigError(f"can't serve on {where}: {error.strerror}; choose another --host or --port") from error


def _serve(settings: Settings, listener: socket.socket, on_end: Callable[[], None]) -> None:
    reading, writing = open_for_reading(settings.database), open_database(settings.database)
    host, port = listener.getsockname()[:2]
    settings = settings.model_copy(update={"host": host, "port": port})
    log.info("serving", page=settings.page)
    _invite_the_first(writing, settings)
    app = build_app(
        reading,
        writing,
        fleet_folder=settings.fleet,
        shelf=settings.bundles,
        ground=settings.basemap,
        url=settings.url,
    )
    configuration = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=PAGES_GOODBYE_S,
        server_header=False,
        ssl_certfile=settings.https_cert,
        ssl_keyfile=settings.https_key,
    )
    server = _Server(configuration, on_end)
    for number in (signal.SIGTERM, signal.SIGINT):
        # For a signal before uvicorn listens to them, and for the one that it raises again when it has ended.
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listener])


def _invite_the_first(writing: sa.Engine, settings: Settings) -> None:
    """While nobody has an account, every start offers the first one."""
    with writing.begin() as connection:
        secret = front_door.first_link(connection, wall_clock_ms())
    if secret is not None:
        link = links.address_of(settings.page, "first", secret)
        log.warning("nobody has an account: open this link, good once and for a day, to be the first admin", link=link)


class _Server(uvicorn.Server):
    """Passes the end on when the signal comes, not when the last page has let go."""

    def __init__(self, configuration: uvicorn.Config, on_end: Callable[[], None]) -> None:
        super().__init__(configuration)
        self._on_end = on_end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What uvicorn does at SIGTERM and SIGINT, and `on_end`."""
        self._on_end()
        super().handle_exit(sig, frame)


class IngestProcess:
    """`trap-server ingest` as a child; it ends with this process, however this process ends."""

    def __init__(self, settings: Settings) -> None:
        self._environment = _environment(settings)
        self._backoff = Backoff(base_s=0.5, cap_s=15.0, rng=random.Random())  # noqa: S311  jitter, not a secret
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_running, name="ingest-keeper", daemon=True)

    def start(self) -> None:
        """Start it, and again whenever it ends."""
        self._thread.start()

    def ask_to_end(self) -> None:
        """Begin to end, without waiting for it."""
        self._stopping.set()

    def stop(self) -> None:
        """Ask it to end, then make it."""
        self.ask_to_end()
        self._thread.join(GOODBYE_S)

    def _keep_running(self) -> None:
        while not self._stopping.is_set():
            began_s = time.monotonic()
            status = self._run_once()
            if not self._stopping.is_set():
                log.error("ingest_ended", status=status, next_step="starting it again")
                self._stopping.wait(self._backoff.wait_s(time.monotonic() - began_s))

    def _run_once(self) -> int:
        arguments = [sys.executable, "-m", "trap_server.commands", "ingest", "--until-stdin-closes"]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, env=self._environment) as process:
            while process.poll() is None and not self._stopping.wait(0.2):
                pass
            process.terminate()
            try:
                return process.wait(GOODBYE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()


def _environment(settings: Settings) -> dict[str, str]:
    """The parent's environment with its settings, flags included: a password never shows in a process list."""
    given = settings.model_dump(mode="json", exclude_none=True)
    return {**os.environ, **{f"{PREFIX}{name.upper()}": str(value) for name, value in given.items()}}
