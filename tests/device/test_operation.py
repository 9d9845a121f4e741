"""A whole agent as it is left alone for months: service manager, health, settings that change, commands."""

import json
import os
import secrets
import signal
import socket
import threading
from contextlib import closing
from functools import partial

import pytest
from brokers import running_broker
from structlog.testing import capture_logs
from trap_agent.agent import EXIT_HELD, StopRequest, deliver_windows
from trap_agent.outbox import read_account
from trap_agent.settings import AgentSettings, load_settings
from trap_contract.messages import Birth, Command, parse_message
from trap_contract.topics import COMMAND, TrapAddress

from device.bundles import save_pictures
from device.collectors import TinyCollector, tiny_collector, wait_until
from device.samples import NO_BROKER

PATIENCE_S = 120
ADDRESS = TrapAddress("default", "t-1")


@pytest.fixture
def manager(tmp_path):
    """A service manager that wants a sign of life every two seconds."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(tmp_path / "notify"))
        yield Manager(listener)
        listener.shutdown(socket.SHUT_RDWR)  # ends its reader


class Manager:
    """Reads all the time, as systemd does: a full socket takes no more."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._heard: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while message := self._listener.recv(4096).decode():
            self._heard.append(message)

    def adopt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What starts from here on is started by this manager; a broker would answer it too."""
        monkeypatch.setenv("NOTIFY_SOCKET", self._listener.getsockname())
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")

    def heard(self, word: str) -> int:
        """How often a message that begins so has come."""
        return sum(message.startswith(word) for message in self._heard)


def send(collector: TinyCollector, name: str, **arguments: object) -> str:
    command = Command(trap="t-1", id=secrets.token_hex(16), name=name, arguments=arguments, expires_wall_ms=2**52)
    collector.publish(ADDRESS.topic(COMMAND), command.model_dump_json(), expiry_s=60)
    return command.id


def answered(collector: TinyCollector, identity: str, state: str) -> bool:
    return any((answer.id, answer.state) == (identity, state) for answer in collector.answers)


def lengths(collector: TinyCollector) -> set[int]:
    return {window.duration_ms for window in collector.stored.values()}


def settings_told(collector: TinyCollector) -> dict[str, object]:
    return parse_message(Birth, collector.retained["birth"]).settings if "birth" in collector.retained else {}


class Run:
    """The agent of a settings file in a thread, with the real signal handlers."""

    def __init__(self, **flags: object) -> None:
        self.request = StopRequest()
        self.request.install(reloads=True)
        self.load = partial(load_settings, AgentSettings, flags, flags.pop("config"))
        self.status: int | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        settings = self.load({})
        assert settings.broker_address is not None
        self.status = deliver_windows(settings, settings.broker_address, self.request, self.load)

    def ended(self) -> int | None:
        self.thread.join(PATIENCE_S)
        return self.status


@pytest.fixture
def _signals():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
def test_an_agent_can_be_watched_tuned_commanded_and_restarted_without_losing_a_window(
    tmp_path, bundle, manager, monkeypatch
):
    config, state = tmp_path / "trap.toml", tmp_path / "state"
    config.write_text("window = 1\nhealth = 1\n")
    with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector, capture_logs() as logs:
        manager.adopt(monkeypatch)
        flags = {"model": bundle, "source": "rendered:3", "trap": "t-1", "threads": 1, "config": config}
        place = {"broker": broker.url, "state_dir": state}
        run = Run(**flags, **place)
        wait_until(lambda: manager.heard("READY=1"), "ready", PATIENCE_S)
        wait_until(lambda: manager.heard("WATCHDOG=1") >= 2 and manager.heard("STATUS="), "signs of life", PATIENCE_S)
        wait_until(lambda: len(collector.health) >= 2, "health", PATIENCE_S)
        assert collector.health[-1].memory_mb > 1
        assert settings_told(collector) == {"window": 1.0, "threshold": None, "fps": None, "schedule": None}

        config.write_text("window = 2\nthreshold = 5\n")
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: any("line 2, threshold" in str(line.get("error")) for line in logs), "the fault", PATIENCE_S)
        config.write_text("window = 2\nhealth = 1\n")
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: 2000 in lengths(collector), "windows of two seconds", PATIENCE_S)
        assert manager.heard("RELOADING=1") == 2
        wait_until(lambda: settings_told(collector)["window"] == 2, "a new birth", PATIENCE_S)

        configured = send(collector, "configure", window=3.0, fps=5.0)
        wait_until(lambda: answered(collector, configured, "done"), "the answer", PATIENCE_S)
        wait_until(lambda: 3000 in lengths(collector), "windows of three seconds", PATIENCE_S)
        asked = send(collector, "status")
        wait_until(lambda: answered(collector, asked, "done"), "the status", PATIENCE_S)
        assert json.loads(collector.answers[-1].text)["trap"] == "t-1"

        restart = send(collector, "restart")
        assert run.ended() == 0
        assert run.request.is_restart
        again = Run(**flags, **place)
        wait_until(lambda: answered(collector, restart, "done"), "it is back", PATIENCE_S)
        wait_until(lambda: len({boot for boot, _ in collector.stored}) == 2, "it counts again", PATIENCE_S)
        assert settings_told(collector) == {"window": 3.0, "threshold": None, "fps": 5.0, "schedule": None}
        os.kill(os.getpid(), signal.SIGTERM)
        assert again.ended() == 0
        wait_until(lambda: manager.heard("STOPPING=1") == 2, "it said twice that it stops")
        account = read_account(state)
        assert account["issued"] == account["acknowledged"] == len(collector.stored)


@pytest.mark.usefixtures("_signals")
def test_a_camera_whose_frames_can_not_be_read_does_not_feed_the_watchdog(tmp_path, bundle, manager, monkeypatch):
    pictures = save_pictures(tmp_path / "pictures", 3)
    for picture in sorted(pictures.iterdir())[1:]:
        picture.write_bytes(b"damaged")
    manager.adopt(monkeypatch)
    place = {"broker": f"mqtt://127.0.0.1:{NO_BROKER}", "state_dir": tmp_path / "state", "drain": 0, "config": None}
    assert Run(model=bundle, source=str(pictures), trap="t-1", **place).ended() == EXIT_HELD
    wait_until(lambda: manager.heard("STOPPING=1"), "the last word")
    assert manager.heard("READY=1") == 1
    assert manager.heard("WATCHDOG=1") == 1
