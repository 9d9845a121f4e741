"""Settings that are wanted of traps: kept with a version, told retained, and compared with what the trap says."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from brokers import Broker
from fastapi.testclient import TestClient
from trap_contract.errors import ConfigError
from trap_contract.messages import WantedSettings, parse_message
from trap_contract.topics import BIRTH, SETTINGS, TrapAddress
from trap_server import wanted
from trap_server.app import wall_clock_ms
from trap_server.settings_commands import change_and_wait, read_changes
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Heartbeat, Store
from waiting import until

from server.clients import client_of
from server.running import RunningIngest
from server.test_orders import listening
from server.traps import NOON_MS, FakeTrap, make_birth, make_window

ADDRESS = TrapAddress("demo", "t1")
SETTINGS_OF_T1 = "/api/v1/traps/demo/t1/settings"


@pytest.fixture
def store(engine: sa.Engine) -> Store:
    store = Store(engine, "c")
    store.beat(Heartbeat(now_ms=1, connected=True))
    born(store)
    return store


@pytest.fixture
def client(database_url: str, engine: sa.Engine, store: Store) -> Iterator[TestClient]:
    with client_of(database_url, engine, lambda: NOON_MS) as client:
        yield client


def born(store: Store, **changes: object) -> None:
    """The trap connects, and says how it is set."""
    payload = make_birth("t1", **changes).model_dump_json().encode()
    store.commit(sort_arrivals([Arrival(ADDRESS.topic(BIRTH), payload, False, NOON_MS)]))


def put(client: TestClient, **settings: object) -> dict[str, Any]:
    answer = client.put(SETTINGS_OF_T1, json={"settings": settings})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_what_is_wanted_has_a_version_is_told_once_and_compared_with_what_the_trap_says(client, store):
    assert client.get(SETTINGS_OF_T1).json()["version"] is None
    told = put(client, window=30, schedule="18:00-06:30 Europe/Madrid")
    assert (told["version"], told["state"], told["told_ms"], told["heard_version"]) == (1, "waiting", None, None)
    (untold,) = store.untold_settings()
    assert untold.message().settings == {"window": 30, "schedule": "18:00-06:30 Europe/Madrid"}
    store.settings_told([untold], NOON_MS + 1)
    assert store.untold_settings() == []
    born(store, settings_version=1, settings={"window": 30.0})
    heard = client.get(SETTINGS_OF_T1).json()
    assert (heard["state"], heard["heard_version"], heard["refused"]) == ("followed", 1, "")
    assert heard["in_force"] == {"window": 30.0}
    assert store.untold_settings() == []


def test_each_change_replaces_all_that_was_wanted_and_has_the_next_version(client, store):
    put(client, window=30, evidence=5)
    assert (put(client, evidence=5)["version"], put(client)["version"]) == (2, 3)
    (untold,) = store.untold_settings()
    assert (untold.version, untold.settings) == (3, {})


def test_a_change_that_comes_while_the_one_before_is_being_told_is_told_too(client, store):
    put(client, window=30)
    before = store.untold_settings()
    put(client, window=20)
    store.settings_told(before, NOON_MS)
    assert [one.version for one in store.untold_settings()] == [2]


@pytest.mark.parametrize("version", [None, 1])
def test_a_trap_that_heard_of_another_version_is_told_again(client, store, version):
    put(client, window=30)
    put(client, window=20)
    store.settings_told(store.untold_settings(), NOON_MS)
    born(store, settings_version=version)
    assert [one.version for one in store.untold_settings()] == [2]


def test_why_a_trap_does_not_follow_is_shown(client, store):
    put(client, window=30)
    born(store, settings_version=1, settings_refused="window is pinned to 15.0 by a flag")
    told = client.get(SETTINGS_OF_T1).json()
    assert (told["state"], told["refused"]) == ("refused", "window is pinned to 15.0 by a flag")


@pytest.mark.parametrize(
    "settings", [{"window": 0}, {"window": None}, {"broker": "mqtt://elsewhere"}, {"schedule": "at night"}, {"a b": 1}]
)
def test_what_no_trap_would_take_is_refused_before_anybody_is_told(client, store, settings):
    assert client.put(SETTINGS_OF_T1, json={"settings": settings}).status_code == 422
    assert store.untold_settings() == []


def test_the_change_is_in_the_audit_log_with_who_made_it(client):
    put(client, window=30)
    entry = client.get("/api/v1/audit").json()["entries"][0]
    assert (entry["action"], entry["subject"], entry["details"]["settings"]) == (
        "settings.want",
        "demo/t1",
        {"window": 30},
    )


def test_the_command_line_changes_only_what_it_names_and_says_how_it_stands(database_url, engine, store):
    assert change_and_wait(database_url, ADDRESS, {"window": 30, "evidence": 5}, wait_s=0).state == "waiting"
    told = change_and_wait(database_url, ADDRESS, {"evidence": None, "fps": 2}, wait_s=0)
    assert (told.version, told.settings) == (2, {"window": 30, "fps": 2})
    born(store, settings_version=2)
    assert change_and_wait(database_url, ADDRESS, {}, wait_s=9).state == "followed"
    born(store, settings_version=2, settings_refused="no")
    refused = change_and_wait(database_url, ADDRESS, {}, wait_s=9)
    assert (refused.state, refused.refused) == ("refused", "no")
    with pytest.raises(ConfigError, match="nothing has come from a trap 't9'"):
        change_and_wait(database_url, TrapAddress("demo", "t9"), {"fps": 2}, wait_s=0)
    with engine.begin() as connection:
        kept = wanted.wanted(connection, ADDRESS)
    assert (kept.version, kept.changed_by) == (2, "command line")


def test_settings_of_the_command_line_are_read_as_they_are_written():
    written = ["window=30", "schedule=18:00-06:30 Europe/Madrid", "threshold=0.25", "fps=", "x=true", 'y="1"', "z=null"]
    assert read_changes(written) == {
        "window": 30,
        "schedule": "18:00-06:30 Europe/Madrid",
        "threshold": 0.25,
        "fps": None,
        "x": True,
        "y": '"1"',
        "z": "null",
    }
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        read_changes(["window"])


def test_through_a_broker_it_is_retained_for_a_trap_that_comes_later(
    broker: Broker, collecting: RunningIngest, database_url: str, engine: sa.Engine
):
    with FakeTrap(broker.port) as trap:
        trap.send(make_window(1))
        until(lambda: trap.holds_acks_for(1), "the trap is known")
    with client_of(database_url, engine, wall_clock_ms) as client:
        put(client, evidence=5)
        until(lambda: client.get(SETTINGS_OF_T1).json()["told_ms"], "it is told")
    with listening(broker.port, SETTINGS) as heard:
        until(lambda: heard, "it comes")
    (message,) = heard
    assert message.retain
    assert parse_message(WantedSettings, bytes(message.payload)).settings == {"evidence": 5}
