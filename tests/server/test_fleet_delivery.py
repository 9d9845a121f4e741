"""The real agent and the real collector as processes, with nothing but the files that `trap-fleet` makes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from trap_deploy.demo import MODEL
from trap_server.database import open_for_reading
from trap_server.fleet.live_broker import enforce
from waiting import until

from server.fleets import now, running_fleet

PATIENCE_S = 120.0


def agent(card: Path, state: Path) -> list[str]:
    flags = ["--config", "trap.toml", "--source", "rendered", "--window", "1", "--state-dir", str(state)]
    return [sys.executable, "-m", "trap_agent", "--model", str(MODEL), *flags]


def collector(folder: Path, url: str, database: str) -> list[str]:
    files = ["--ca", folder / "ca.pem", "--cert", folder / "collector.pem", "--key", folder / "collector.key"]
    command = ["trap_server.commands", "ingest", "--broker", url, "--database", database, *map(str, files)]
    return [sys.executable, "-m", *command]


def stored(database: str) -> int:
    engine = open_for_reading(database)
    with engine.connect() as connection:
        count: int = connection.execute(sa.text("select count(*) from windows")).scalar_one()
    engine.dispose()
    return count


@pytest.mark.skipif(not MODEL.exists(), reason="models/yolov8n_kd.tflite is not there")
def test_an_enrolled_trap_delivers_to_the_collector_until_it_is_revoked(tmp_path):
    database = f"sqlite:///{tmp_path / 'counts.db'}"
    with running_fleet(tmp_path / "f") as running, (tmp_path / "log").open("wb") as log:
        fleet, trap = running.fleet, running.enrolled("a")
        line = collector(fleet.folder / "collectors" / "collector", fleet.broker_url, database)
        ingest = subprocess.Popen(line, stderr=log, stdout=log)
        counting = subprocess.Popen(agent(trap.card, tmp_path / "state"), cwd=trap.card, stderr=log, stdout=log)
        try:
            until(lambda: (tmp_path / "counts.db").exists(), "the database is there", PATIENCE_S)
            until(lambda: "as collector" in running.log, "the collector is in", PATIENCE_S)
            until(lambda: stored(database) >= 2, "windows are stored", PATIENCE_S)
            assert running.log.count("Denied") == 0
            trap.revoke(now())
            enforce(trap, now())
            refused = running.log.count("certificate verify failed")
            until(lambda: running.log.count("certificate verify failed") > refused, "the agent is refused", PATIENCE_S)
        finally:
            for process in (counting, ingest):
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
