"""The whole agent: real model, real outbox, real broker."""

import resource
import signal
import threading
from pathlib import Path

import pytest
from brokers import running_broker
from trap_agent.agent import EXIT_HELD, StopRequest, deliver_windows
from trap_agent.outbox import read_account
from trap_agent.settings import AgentSettings, load_settings
from trap_contract.messages import State, parse_message
from waiting import until

from device.agents import run_agent, started_agent
from device.bundles import save_pictures
from device.collectors import tiny_collector
from device.samples import NO_BROKER


@pytest.fixture
def settings(bundle, tmp_path):
    """Settings of an agent that looks at 90 pictures of one female and two males."""
    pictures = save_pictures(tmp_path / "pictures", 90, "Female", "Male", "Male")

    def make(url: str, **changes: object) -> AgentSettings:
        return load_settings(
            AgentSettings,
            {
                "model": bundle,
                "source": str(pictures),
                "broker": url,
                "trap": "t-1",
                "state_dir": tmp_path / "state",
                "window": 30.0,
                "threads": 1,
                "drain": 20.0,
                **changes,
            },
        )

    return make


def deliver(settings: AgentSettings, request: StopRequest | None = None) -> int:
    assert settings.broker_address is not None
    return deliver_windows(settings, settings.broker_address, request or StopRequest())


def test_every_picture_of_a_folder_arrives_counted(tmp_path, settings):
    with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector:
        assert deliver(settings(broker.url)) == 0
        windows = list(collector.stored.values())
        assert sum(window.effort.frames_analysed for window in windows) == 90
        counts = [window.counts for window in windows if window.counts is not None]
        assert {(count["Female"], count["Male"]) for count in counts} == {(1, 2)}
        assert sum(window.effort.observed_s for window in windows) == pytest.approx(90, abs=1.1)
        account = read_account(tmp_path / "state")
        assert account["issued"] == account["acknowledged"] == len(windows)


def test_windows_without_acknowledgement_wait_for_the_next_start(tmp_path, settings):
    with running_broker(tmp_path) as broker:
        with tiny_collector(broker.port, acks=False) as deaf:
            assert deliver(settings(broker.url, drain=0.5)) == EXIT_HELD
            assert deaf.stored
        with tiny_collector(broker.port) as collector:
            assert deliver(settings(broker.url)) == 0
            assert set(deaf.stored) < set(collector.stored)
            assert len({boot for boot, _ in collector.stored}) == 2
    account = read_account(tmp_path / "state")
    assert account["issued"] == account["acknowledged"] == len(collector.stored)


def test_a_broker_that_is_never_there_costs_no_window(tmp_path, settings):
    assert deliver(settings(f"mqtt://127.0.0.1:{NO_BROKER}", drain=0.2)) == EXIT_HELD
    account = read_account(tmp_path / "state")
    assert account["pending"] == account["issued"] >= 3


def test_a_second_signal_cuts_the_draining_short(settings):
    request = StopRequest()
    agent = settings(f"mqtt://127.0.0.1:{NO_BROKER}", source="rendered:1", drain=3600.0)
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(deliver(agent, request)))
    thread.start()
    request._on_signal(signal.SIGTERM, None)
    thread.join(0.5)
    assert thread.is_alive()
    request._on_signal(signal.SIGTERM, None)
    thread.join(30)
    assert statuses == [EXIT_HELD]


def test_an_unreadable_picture_is_a_gap_and_the_others_count(tmp_path, settings):
    with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector:
        (tmp_path / "pictures" / "00040.png").write_bytes(b"damaged")
        assert deliver(settings(broker.url)) == 0
        efforts = [window.effort for window in collector.stored.values()]
        assert sum(effort.frames_analysed for effort in efforts) == 89
        gaps = [gap.seconds for effort in efforts for gap in effort.gaps if gap.reason == "unreadable"]
        assert 0 < sum(gaps) < 2  # a second; less where the picture is a window's first, more where it is its last
        seen = sum(effort.observed_s + sum(gap.seconds for gap in effort.gaps) for effort in efforts)
        assert seen == pytest.approx(30 * len(efforts))


def live_agent(bundle: Path, url: str, state: Path) -> list[object]:
    flags = ["--model", bundle, "--source", "rendered:3", "--broker", url, "--trap", "t-1"]
    return [*flags, "--window", 1, "--threads", 1, "--state-dir", state]


def test_sigterm_closes_the_window_drains_and_says_goodbye(tmp_path, bundle):
    state, log = tmp_path / "state", tmp_path / "log"
    with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector:
        with started_agent(*live_agent(bundle, broker.url, state), log=log) as agent:
            until(lambda: len(collector.stored) >= 2, "two windows arrived", 60)
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(30) == 0, log.read_text()
        last = max(collector.stored.values(), key=lambda window: window.seq)
        assert "stop" in {gap.reason for gap in last.effort.gaps}
        assert parse_message(State, collector.retained["state"]).state == "stopped"
        account = read_account(state)
        assert account["issued"] == account["acknowledged"] == len(collector.stored)


def test_an_agent_killed_at_any_time_leaves_what_the_next_one_sends(tmp_path, bundle):
    state, log = tmp_path / "state", tmp_path / "log"
    with running_broker(tmp_path) as broker:
        with (
            tiny_collector(broker.port, acks=False) as deaf,
            started_agent(*live_agent(bundle, broker.url, state), log=log) as agent,
        ):
            until(lambda: len(deaf.stored) >= 2, "two windows arrived", 60)
            agent.kill()
            agent.wait()
        issued = read_account(state)["issued"]
        with (
            tiny_collector(broker.port) as collector,
            started_agent(*live_agent(bundle, broker.url, state), log=log) as agent,
        ):
            until(lambda: len(collector.stored) > issued, "the old ones and a new one arrived", 60)
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(30) == 0, log.read_text()
            account = read_account(state)
            for boot in account["boots"]:
                assert collector.seqs(boot["boot"]) == list(range(1, boot["issued"] + 1))
            assert len(account["boots"]) == 2


def test_a_full_disk_is_said_while_counting_and_is_an_error_at_the_end(tmp_path, settings):
    pictures = save_pictures(tmp_path / "many", 400)
    agent = settings(f"mqtt://127.0.0.1:{NO_BROKER}", source=str(pictures), window=1.0)
    flags = [
        "--model",
        agent.model,
        "--source",
        pictures,
        "--broker",
        f"mqtt://127.0.0.1:{NO_BROKER}",
        "--window",
        1,
        "--drain",
        0,
    ]
    run = run_agent(
        *flags,
        *("--state-dir", tmp_path / "state", "--log-json"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
    )
    assert run.returncode == 1
    assert "window not stored, kept in memory" in run.stderr
    assert "windows could not be stored" in run.stderr.splitlines()[-1]
    account = read_account(tmp_path / "state")
    assert 0 < account["pending"] == account["issued"] < 400
