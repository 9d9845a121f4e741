"""A whole agent as it is left alone for months: service manager, health, settings that change, commands."""

import json
import os
import secrets
import signal
import socket
import threading
from contextlib import closing

import pytest
from brokers import running_broker
from trap_agent.agent import EXIT_HELD
from trap_agent.outbox import read_account
from trap_contract.messages import Birth, Command, WantedSettings, parse_message
from trap_contract.topics import COMMAND, SETTINGS, TrapAddress
from waiting import until

from device.agents import run_agent, started_agent
from device.bundles import save_pictures
from device.collectors import TinyCollector, tiny_collector
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

    @property
    def environment(self) -> dict[str, str]:
        """Of a program that this manager starts."""
        return {**os.environ, "NOTIFY_SOCKET": self._listener.getsockname(), "WATCHDOG_USEC": "2000000"}

    def heard(self, word: str) -> int:
        """How often a message that begins so has come."""
        return sum(message.startswith(word) for message in self._heard)


def send(collector: TinyCollector, name: str) -> str:
    command = Command(trap="t-1", id=secrets.token_hex(16), name=name, expires_wall_ms=2**52)
    collector.publish(ADDRESS.topic(COMMAND), command.model_dump_json(), expiry_s=60)
    return command.id


def want(collector: TinyCollector, version: int, **settings: object) -> None:
    wanted = WantedSettings(trap="t-1", version=version, settings=settings)
    collector.publish(ADDRESS.topic(SETTINGS), wanted.model_dump_json(), is_retained=True)


def version_told(collector: TinyCollector) -> tuple[int | None, str]:
    birth = parse_message(Birth, collector.retained["birth"])
    return birth.settings_version, birth.settings_refused


def answered(collector: TinyCollector, identity: str, state: str) -> bool:
    return any((answer.id, answer.state) == (identity, state) for answer in collector.answers)


def lengths(collector: TinyCollector) -> set[int]:
    return {window.duration_ms for window in collector.stored.values()}


def settings_told(collector: TinyCollector) -> dict[str, object]:
    return parse_message(Birth, collector.retained["birth"]).settings if "birth" in collector.retained else {}


def test_an_agent_can_be_watched_tuned_commanded_and_restarted_without_losing_a_window(tmp_path, bundle, manager):
    config, state, log = tmp_path / "trap.toml", tmp_path / "state", tmp_path / "log"
    config.write_text("window = 1\nhealth = 1\nsite = 'The mill'\n")
    with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector:
        flags = ["--model", bundle, "--source", "rendered:3", "--trap", "t-1", "--threads", 1, "--config", config]
        flags += ["--broker", broker.url, "--state-dir", state]
        with started_agent(*flags, log=log, env=manager.environment) as agent:
            until(lambda: manager.heard("READY=1"), "ready", PATIENCE_S)
            until(lambda: manager.heard("WATCHDOG=1") >= 2 and manager.heard("STATUS="), "life", PATIENCE_S)
            until(lambda: len(collector.health) >= 2, "health", PATIENCE_S)
            assert collector.health[-1].memory_mb > 1
            assert parse_message(Birth, collector.retained["birth"]).site == "The mill"
            assert settings_told(collector) == {
                "window": 1.0,
                "threshold": None,
                "fps": None,
                "schedule": None,
                "evidence": 0.0,
            }

            config.write_text("window = 2\nthreshold = 5\n")
            agent.send_signal(signal.SIGHUP)
            until(lambda: "line 2, threshold" in log.read_text(), "the fault", PATIENCE_S)
            config.write_text("window = 2\nhealth = 1\n")
            agent.send_signal(signal.SIGHUP)
            until(lambda: 2000 in lengths(collector), "windows of two seconds", PATIENCE_S)
            assert manager.heard("RELOADING=1") == 2
            until(lambda: settings_told(collector)["window"] == 2, "a new birth", PATIENCE_S)

            want(collector, 1, window=3.0, fps=5.0)
            until(lambda: 3000 in lengths(collector), "windows of three seconds", PATIENCE_S)
            until(lambda: settings_told(collector)["window"] == 3, "it says so", PATIENCE_S)
            assert version_told(collector) == (1, "")
            want(collector, 2, window=0.0)
            until(lambda: version_told(collector)[0] == 2, "the refusal", PATIENCE_S)
            assert "window" in version_told(collector)[1]
            asked = send(collector, "status")
            until(lambda: answered(collector, asked, "done"), "the status", PATIENCE_S)
            assert json.loads(collector.answers[-1].text)["trap"] == "t-1"

            restart = send(collector, "restart")
            until(lambda: answered(collector, restart, "done"), "it is back", PATIENCE_S)
            until(lambda: len({boot for boot, _ in collector.stored}) == 2, "it counts again", PATIENCE_S)
            assert settings_told(collector) == {
                "window": 3.0,
                "threshold": None,
                "fps": 5.0,
                "schedule": None,
                "evidence": 0.0,
            }
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(PATIENCE_S) == 0, log.read_text()
        until(lambda: manager.heard("STOPPING=1") == 2, "it said twice that it stops")
        account = read_account(state)
        assert account["issued"] == account["acknowledged"] == len(collector.stored)


def test_a_camera_whose_frames_can_not_be_read_does_not_feed_the_watchdog(tmp_path, bundle, manager):
    pictures = save_pictures(tmp_path / "pictures", 3)
    for picture in sorted(pictures.iterdir())[1:]:
        picture.write_bytes(b"damaged")
    flags = ["--model", bundle, "--source", pictures, "--trap", "t-1", "--state-dir", tmp_path / "state", "--drain", 0]
    flags += ["--broker", f"mqtt://127.0.0.1:{NO_BROKER}"]
    assert run_agent(*flags, env=manager.environment).returncode == EXIT_HELD
    until(lambda: manager.heard("STOPPING=1"), "the last word")
    assert manager.heard("READY=1") == 1
    assert manager.heard("WATCHDOG=1") == 1
