"""Alerts from a real database: what opens them, what does not, and who is told."""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from trap_contract.errors import DeliveryError
from trap_contract.messages import Health
from trap_server import schema
from trap_server.alerting.engine import Alert
from trap_server.alerting.facts import Memory
from trap_server.alerting.keeping import acknowledge, alerts
from trap_server.alerting.rules import Limit, Limits
from trap_server.alerting.watching import watch_once
from trap_server.commands import main
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

from server.traps import BOOT, make_batch, make_state, make_window

NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
LIMITS = Limits(count=Limit(50, 40))


@dataclass
class Ear:
    """A sender that remembers, or fails."""

    name: str = "ear"
    fails: bool = False
    heard: list[tuple[str, str]] = field(default_factory=list)

    def send(self, alert: Alert, now_ms: int) -> None:
        if self.fails:
            raise DeliveryError("deaf")
        self.heard.append((alert.kind, alert.state))


def arrive(engine: sa.Engine, leaf: str, payload: bytes, at_ms: int) -> None:
    Store(engine, "c").commit(sort_arrivals([Arrival(f"mt/v1/demo/t1/{leaf}", payload, False, at_ms)]))


def count(engine: sa.Engine, seq: int, females: int | None, ends_ms: int, came_ms: int | None = None, **changes: Any):
    """A minute of arrivals that ended at `ends_ms`, and came then or later."""
    values = {"semantics": "arrivals", "wall_ms": ends_ms - MINUTE_MS} | changes
    window = make_window(seq, females, 0, **values)
    arrive(engine, "counts", make_batch([window]), ends_ms if came_ms is None else came_ms)


def health(engine: sa.Engine, at_ms: int, wall_ms: int | None = None, **values: Any) -> None:
    told = Health(trap="t1", boot=BOOT, wall_ms=at_ms if wall_ms is None else wall_ms, **values)
    values = {"tenant": "demo", "trap": "t1", "received_at_ms": at_ms, "body": told.model_dump_json()}
    with engine.begin() as connection:
        connection.execute(sa.insert(schema.health).values(**values))


def look(engine: sa.Engine, now_ms: int = NOW_MS, *ears: Ear) -> list[tuple[str, str]]:
    """One round."""
    changed = watch_once(engine, engine, limits=LIMITS, senders=ears, memory=Memory(), now_ms=now_ms)
    return sorted((alert.kind, alert.state) for alert in changed)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is kept is the same in both databases: see test_alerting_keeping.py."""
    return sqlite_url


@pytest.fixture
def online(engine: sa.Engine) -> sa.Engine:
    arrive(engine, "state", make_state("online").model_dump_json().encode(), NOW_MS)
    return engine


def test_many_mosquitoes_open_one_alert_and_few_close_it(online: sa.Engine):
    count(online, 1, 60, NOW_MS)
    assert look(online) == [("count", "open")]
    assert look(online) == []
    count(online, 2, 0, NOW_MS + 2 * HOUR_MS)
    assert look(online, NOW_MS + 2 * HOUR_MS) == [("count", "closed")]
    count(online, 3, 70, NOW_MS + 2 * HOUR_MS)
    assert look(online, NOW_MS + 2 * HOUR_MS) == [("count", "open")]


def test_a_replay_raises_no_alert(online: sa.Engine):
    count(online, 1, 900, NOW_MS - 3 * 24 * HOUR_MS, came_ms=NOW_MS)
    count(online, 2, None, NOW_MS - 2 * 24 * HOUR_MS, came_ms=NOW_MS)
    assert look(online) == []


def test_a_trap_that_falls_silent_is_told_and_that_it_is_back(online: sa.Engine):
    later = NOW_MS + HOUR_MS
    assert look(online, later) == [("silent", "open")]
    arrive(online, "state", make_state("online").model_dump_json().encode(), later)
    assert look(online, later) == [("silent", "closed")]


def test_a_window_that_saw_nothing_is_low_coverage(online: sa.Engine):
    count(online, 1, None, NOW_MS)
    assert look(online) == [("coverage", "open")]


def test_health_tells_heat_a_full_disk_a_dull_lens_and_a_wrong_clock(online: sa.Engine):
    for hour in range(25, 49):
        health(online, NOW_MS - hour * HOUR_MS, sharpness=100.0)
    health(online, NOW_MS, wall_ms=NOW_MS - HOUR_MS, soc_celsius=85.0, disk_free_mb=50.0, sharpness=30.0)
    assert look(online) == [(kind, "open") for kind in ("clock", "disk", "sharpness", "temperature")]


def test_a_night_far_above_its_season_is_an_alert(online: sa.Engine):
    noon_ms = NOW_MS // (24 * HOUR_MS) * 24 * HOUR_MS + 12 * HOUR_MS
    for day in range(1, 18):
        females = 400 if day == 1 else 10
        ends_ms = noon_ms - day * 24 * HOUR_MS + 24 * HOUR_MS
        count(
            online,
            100 - day,
            females,
            ends_ms,
            duration_ms=24 * HOUR_MS,
            wall_ms=ends_ms - 24 * HOUR_MS,
            effort={"observed_s": 80_000, "frames_seen": 9, "frames_analysed": 9},
        )
    arrive(online, "state", make_state("online").model_dump_json().encode(), noon_ms + 2 * HOUR_MS)
    assert ("season", "open") in look(online, noon_ms + 2 * HOUR_MS)


def test_everybody_is_told_once_and_the_deaf_again_until_they_hear(online: sa.Engine):
    ear, deaf = Ear(), Ear("deaf", fails=True)
    count(online, 1, 60, NOW_MS)
    look(online, NOW_MS, ear, deaf)
    look(online, NOW_MS, ear, deaf)
    assert (ear.heard, deaf.heard) == ([("count", "open")], [])
    deaf.fails = False
    look(online, NOW_MS, ear, deaf)
    assert (ear.heard, deaf.heard) == ([("count", "open")], [("count", "open")])
    count(online, 2, 0, NOW_MS + 2 * HOUR_MS)
    look(online, NOW_MS + 2 * HOUR_MS, ear, deaf, late := Ear("late"))
    assert ear.heard == deaf.heard == [("count", "open"), ("count", "closed")]
    assert late.heard == []


def test_an_acknowledged_alert_is_not_raised_again(online: sa.Engine):
    count(online, 1, 60, NOW_MS)
    look(online)
    with online.begin() as connection:
        (alert,) = alerts(connection, 10)
        acknowledge(connection, alert.id or 0, "ana", NOW_MS)
    assert look(online) == []


def test_the_commands_judge_list_and_acknowledge(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["trap-server", *arguments, "--database", sqlite_url])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert ended.value.code == 0, err
        return out

    from trap_server.database import open_database

    engine = open_database(sqlite_url)
    arrive(engine, "state", make_state("offline").model_dump_json().encode(), NOW_MS)
    engine.dispose()
    run("watch", "--once")
    (alert,) = json.loads(run("alerts", "--json"))
    assert (alert["kind"], alert["state"], alert["trap"]) == ("silent", "open", "t1")
    assert "acknowledged" in run("alerts", "--acknowledge", str(alert["id"]), "--by", "ana")
