"""`trap-server` as its operator meets it: real processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from brokers import Broker
from trap_deploy.ports import free_port
from trap_server.commands import main
from waiting import until

from server.traps import BOOT, FakeTrap, make_window

START_S = 60.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TRAP_SERVER_")}


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    status: object
    out: str
    err: str


@pytest.fixture
def trap_server(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def call(*arguments: str, **environment: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["trap-server", *arguments])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Ended(ended.value.code, out, err)

    return call


Command = Callable[..., Ended]


@contextmanager
def running_site(broker: Broker, database_url: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    arguments = ["run", "--broker", broker.url, "--database", database_url, "--port", str(port)]
    with subprocess.Popen([sys.executable, "-m", "trap_server.commands", *arguments], env=ENVIRONMENT) as process:
        try:
            until(lambda: ready(port) == "connected", "the site is ready", START_S)
            yield process
        finally:
            process.kill()


def ready(port: int) -> str | None:
    try:
        return str(httpx.get(f"http://127.0.0.1:{port}/readyz").json()["ingest"])
    except httpx.TransportError:
        return None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ingest", "--broker", "localhost"], "write mqtt://"),
        (["run", "--broker", "http://localhost"], "write mqtt://"),
        (["run", "--port", "99999"], "--port"),
        (["ingest", "--collector", "a/b"], "--collector"),
        (["ingest", "--database", "counts.db"], "sqlite:///PATH.db"),
        (["check", "--database", "sqlite:///none.db"], "no such file"),
        (["api", "--database", "sqlite:///none.db"], "no such file"),
    ],
)
def test_a_wrong_setting_ends_at_once_with_one_line(
    trap_server: Command, tmp_path: Path, arguments: list[str], says: str
):
    ended = trap_server(*arguments, TRAP_SERVER_DATABASE=f"sqlite:///{tmp_path / 'counts.db'}")
    assert ended.status == 1
    assert says in ended.err
    assert ended.err.count("\n") == 1


def test_a_foreign_database_ends_ingest_with_one_line(trap_server: Command, tmp_path: Path):
    path = tmp_path / "shop.db"
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (id INTEGER)")
    ended = trap_server("ingest", "--database", f"sqlite:///{path}")
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "shop.db is not a zancudo database" in ended.err


def test_a_port_in_use_ends_with_one_line(trap_server: Command, sqlite_url: str, broker: Broker):
    ended = trap_server("run", "--broker", broker.url, "--database", sqlite_url, "--port", str(broker.port))
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert f"127.0.0.1:{broker.port}" in ended.err


def test_a_certificate_that_can_not_be_used_ends_the_site_before_it_begins(
    trap_server: Command, sqlite_url: str, tmp_path: Path
):
    (tmp_path / "ca.pem").write_text("not a certificate")
    files = ("--ca", str(tmp_path / "ca.pem"))
    ended = trap_server("run", "--broker", "mqtts://x", *files, "--database", sqlite_url)
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "ca.pem) can't be used" in ended.err


def test_flags_win_over_the_environment(trap_server: Command):
    ended = trap_server("ingest", "--broker", "bad", TRAP_SERVER_BROKER="mqtt://ok", TRAP_SERVER_DATABASE="bad")
    assert "write mqtt://" in ended.err
    assert "write sqlite:///" in trap_server("check", TRAP_SERVER_DATABASE="bad").err


def test_a_site_stores_serves_survives_kills_and_loses_nothing(trap_server: Command, broker: Broker, database_url: str):
    port = free_port()
    with FakeTrap(broker.port) as trap:
        with running_site(broker, database_url, port):
            trap.send(make_window(1), make_window(2))
            until(lambda: trap.holds_acks_for(2), "the first two are acknowledged")
        trap.send(make_window(3))  # the whole site is killed now
        with running_site(broker, database_url, port) as site:
            until(lambda: trap.holds_acks_for(3), "the one sent meanwhile is acknowledged")
            secret = trap_server("tokens", "add", "page", "--database", database_url).out.strip()
            token = {"authorization": f"Bearer {secret}"}
            assert events_after(port, 1, token) == [2, 3]
            (child,) = children_of(site.pid)
            os.kill(child, signal.SIGKILL)
            trap.send(make_window(5))
            until(lambda: trap.holds_acks_for(4), "a new ingest took over", START_S)
            assert children_of(site.pid) != [child]
            with httpx.stream("GET", f"http://127.0.0.1:{port}/api/v1/events", headers=token, timeout=20) as page:
                site.terminate()
                page.read()  # ends in order, or raises
                assert site.wait(20) == 0
    account = json.loads(trap_server("check", "--database", database_url, "--json").out)
    (boot,) = account["boots"]
    assert (boot["boot"], boot["stored"], boot["first"], boot["last"]) == (BOOT, 4, 1, 5)
    assert (boot["missing"], account["missing"]) == ([[4, 4]], 1)
    assert (account["collisions"], account["quarantined"]) == (0, 0)


def events_after(port: int, row_id: int, token: dict[str, str]) -> list[int]:
    """Sequence numbers of two windows that a resuming page is told."""
    headers = {"last-event-id": str(row_id), **token}
    with httpx.stream("GET", f"http://127.0.0.1:{port}/api/v1/events", headers=headers, timeout=20) as answer:
        data = (json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:"))
        windows = (one["seq"] for one in data if "seq" in one)
        return [next(windows), next(windows)]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] or [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
