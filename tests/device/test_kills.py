"""A whole agent killed again and again at random moments, before a real mosquitto and the real collector.

CHAOS_KILLS=100 kills it more often: `make kills`.
"""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import running_broker
from trap_agent.outbox import read_account
from trap_contract.errors import StoreError
from waiting import until

from device.agents import started_agent
from device.collectors import tiny_collector

KILLS = int(os.environ.get("CHAOS_KILLS", "3"))
PATIENCE_S = 120
FRAMES = 400


@contextlib.contextmanager
def real_collector(folder: Path, url: str) -> Iterator[Path]:
    """`trap-server ingest` as a program; its database."""
    database = folder / "counts.db"
    command = ["from trap_server.commands import main; main()", "ingest", "--broker", url]
    command += ["--database", f"sqlite:///{database}"]
    with (folder / "collector.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", *command], stdout=log, stderr=log)
    try:
        yield database
    finally:
        process.terminate()
        process.wait(30)


def stored(database: Path) -> Counter[str]:
    """How many windows the collector has of each boot."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        return Counter(dict(connection.execute("SELECT boot, COUNT(*) FROM windows GROUP BY boot").fetchall()))


def bodies(database: Path) -> list[dict[str, object]]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM collisions").fetchone() == (0,)
        assert connection.execute("SELECT COUNT(*) FROM quarantine").fetchone() == (0,)
        return [json.loads(body) for (body,) in connection.execute("SELECT body FROM windows ORDER BY boot, seq")]


def issued(state: Path) -> int:
    with contextlib.suppress(StoreError):
        return int(read_account(state)["issued"])
    return 0


def test_nothing_acknowledged_is_lost_and_nothing_counts_twice_however_often_the_agent_is_killed(tmp_path, bundle):
    rng, state, log = random.Random(5), tmp_path / "state", tmp_path / "log"
    with running_broker(tmp_path) as broker, real_collector(tmp_path, broker.url) as database:
        flags = ["--model", bundle, "--source", f"rendered:3:{FRAMES}", "--fps", 1, "--window", 1, "--threads", 1]
        flags += ["--broker", broker.url, "--trap", "t-1", "--state-dir", state, "--drain", PATIENCE_S]
        for _ in range(KILLS):
            before, more = issued(state), rng.randrange(0, FRAMES // 2)
            with started_agent(*flags, log=log) as agent:
                until(lambda least=before + more: issued(state) >= least or agent.poll(), "windows", PATIENCE_S)
                assert agent.poll() is None, log.read_text()
            have = stored(database) if database.exists() else Counter()
            for boot in read_account(state)["boots"] if (state / "outbox.db").exists() else ():
                assert have[boot["boot"]] >= boot["acknowledged"]
        with started_agent(*flags, log=log) as agent:
            assert agent.wait(PATIENCE_S) == 0, log.read_text()
        account = read_account(state)
        windows = bodies(database)
    assert account["issued"] == account["acknowledged"] == len(windows)
    assert len(account["boots"]) >= 2
    for boot in account["boots"]:
        own = [window for window in windows if window["boot"] == boot["boot"]]
        assert [window["seq"] for window in own] == list(range(1, boot["issued"] + 1))
        begun = [window["mono_ms"] for window in own]
        assert begun == sorted(set(begun))
    unseen = [window for window in windows if window["counts"] is None and not window["effort"]["gaps"]]
    assert unseen == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a disk needs root")
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_an_agent_that_starts_on_a_disk_it_can_not_write_counts_delivers_says_so_and_moves_there_when_it_can(
    tmp_path, bundle, trouble
):
    place, log = tmp_path / "disk", tmp_path / "log"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=True)
    try:
        if trouble == "full":
            with contextlib.suppress(OSError), (place / "ballast").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        else:
            subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector:
            flags = ["--model", bundle, "--source", "rendered:3", "--fps", 2, "--window", 1, "--broker", broker.url]
            flags += ["--trap", "t-1", "--state-dir", place / "state", "--drain", PATIENCE_S]
            with started_agent(*flags, log=log, env={**os.environ, "TRAP_HEALTH": "1"}) as agent:
                until(lambda: len(collector.stored) >= 3, "windows that are in memory come", PATIENCE_S)
                until(lambda: collector.health, "health", PATIENCE_S)
                assert collector.health[-1].outbox_on_disk is False
                assert "the disk takes nothing" in log.read_text()
                (place / "ballast").unlink(missing_ok=True) if trouble == "full" else None
                subprocess.run(["mount", "-o", "remount,rw", place], check=True)
                until(lambda: collector.health[-1].outbox_on_disk, "it is on the disk", PATIENCE_S)
                agent.send_signal(signal.SIGTERM)
                assert agent.wait(PATIENCE_S) == 0, log.read_text()
        account = read_account(place / "state")
        assert account["issued"] == account["acknowledged"] == len(collector.stored)
        (boot,) = account["boots"]
        assert collector.seqs(boot["boot"]) == list(range(1, boot["issued"] + 1))
    finally:
        subprocess.run(["umount", "-l", place], check=True)
