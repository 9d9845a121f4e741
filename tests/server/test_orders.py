"""Commands: asked for through the API, sent once with an expiry and never retained, and answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest
import sqlalchemy as sa
from brokers import Broker
from fastapi.testclient import TestClient
from paho.mqtt.enums import CallbackAPIVersion
from trap_contract.errors import ConfigError
from trap_contract.messages import Answer, Command, parse_message
from trap_contract.topics import ANSWER, BIRTH, COMMAND, TrapAddress
from trap_server import orders
from trap_server.app import wall_clock_ms
from trap_server.ordering import send_and_wait
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Heartbeat, Store
from waiting import until

from server.clients import client_of
from server.running import RunningIngest
from server.traps import NOON_MS, FakeTrap, make_batch, make_birth, make_window

ADDRESS = TrapAddress("demo", "t1")
COMMANDS = "/api/v1/traps/demo/t1/commands"


class Wall:
    """A clock that shows what it is set to."""

    now_ms = NOON_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def store(engine: sa.Engine) -> Store:
    store = Store(engine, "c")
    store.beat(Heartbeat(now_ms=1, connected=True))
    store.commit(sort_arrivals([Arrival("mt/v1/demo/t1/counts", make_batch([make_window(1)]), False, NOON_MS)]))
    return store


@pytest.fixture
def client(database_url: str, engine: sa.Engine, store: Store, wall: Wall) -> Iterator[TestClient]:
    with client_of(database_url, engine, wall) as client:
        yield client


def send(client: TestClient, **body: object) -> dict[str, Any]:
    answer = client.post(COMMANDS, json=body)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def answered(store: Store, number: str, state: str, text: str) -> None:
    answer = Answer.model_validate({"trap": "t1", "id": number, "state": state, "text": text})
    arrival = Arrival(ADDRESS.topic(ANSWER), answer.model_dump_json().encode(), False, NOON_MS + 5)
    store.commit(sort_arrivals([arrival]))


def test_a_command_waits_is_sent_and_has_the_traps_last_answer(client: TestClient, store: Store):
    told = send(client, name="snapshot", ttl_s=60)
    assert (told["state"], told["sent_ms"], told["expires_ms"]) == ("waiting", None, NOON_MS + 60_000)
    (unsent,) = store.unsent_orders(NOON_MS)
    assert unsent.command().name == "snapshot"
    store.orders_sent([unsent], NOON_MS + 1)
    assert store.unsent_orders(NOON_MS + 1) == []
    assert client.get(f"{COMMANDS}/{told['id']}").json()["state"] == "sent"
    answered(store, told["id"], "done", "a picture comes")
    (listed,) = client.get(COMMANDS).json()["commands"]
    assert (listed["state"], listed["text"], listed["answered_ms"]) == ("done", "a picture comes", NOON_MS + 5)


def test_a_command_that_is_too_old_is_not_sent_and_says_expired(client: TestClient, store: Store, wall: Wall):
    told = send(client, name="status", ttl_s=10)
    wall.now_ms += 10_001
    assert store.unsent_orders(wall.now_ms) == []
    assert client.get(f"{COMMANDS}/{told['id']}").json()["state"] == "expired"


@pytest.mark.parametrize(
    "body",
    [
        {"name": "self_destruct"},
        {"name": "configure"},
        {"name": "restart", "arguments": {"window": 30}},
        {"name": "status", "ttl_s": 1},
    ],
)
def test_what_no_trap_would_take_is_refused(client: TestClient, store: Store, body: dict[str, object]):
    assert client.post(COMMANDS, json=body).status_code == 422
    assert store.unsent_orders(NOON_MS) == []


def test_a_trap_that_never_spoke_gets_no_command(client: TestClient):
    assert client.post("/api/v1/traps/demo/t9/commands", json={"name": "status"}).status_code == 404
    assert client.get(f"{COMMANDS}/{'a' * 32}").status_code == 404


def test_commands_that_nobody_answers_are_bounded(client: TestClient):
    for _ in range(orders.MOST_WAITING):
        send(client, name="status")
    refused = client.post(COMMANDS, json={"name": "status"})
    assert (refused.status_code, "wait for an answer" in refused.text) == (422, True)


def test_pages_of_commands_give_each_once_the_newest_first_also_of_one_moment(client: TestClient, wall: Wall):
    sent = []
    for number in range(7):
        wall.now_ms += number % 2
        sent.append(send(client, name="status"))
    found, cursor = [], None
    while cursor is not None or not found:
        page = client.get(COMMANDS, params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        found += page["commands"]
        cursor = page["next_cursor"]
    assert found == sorted(sent, key=lambda one: (one["created_ms"], one["id"]), reverse=True)
    assert client.get(COMMANDS, params={"cursor": "x"}).status_code == 422


def test_the_command_waits_for_the_answer_and_says_how_it_stands(database_url: str, store: Store):
    told = send_and_wait(database_url, ADDRESS, "status", ttl_s=60, wait_s=0)
    assert told.state == "waiting"
    with pytest.raises(ConfigError, match="nothing has come from a trap 't9'"):
        send_and_wait(database_url, TrapAddress("demo", "t9"), "status", ttl_s=60, wait_s=0)


@contextmanager
def listening(port: int, leaf: str = COMMAND) -> Iterator[list[paho.MQTTMessage]]:
    """What a trap would hear."""
    heard: list[paho.MQTTMessage] = []
    ready = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, "listener", protocol=paho.MQTTv5)
    client.on_connect = lambda client, *_: client.subscribe(ADDRESS.topic(leaf), 1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _client, _data, message: heard.append(message)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(15)
    yield heard
    client.disconnect()
    client.loop_stop()


def test_through_a_broker_it_comes_once_with_an_expiry_and_is_never_retained(
    broker: Broker, collecting: RunningIngest, database_url: str, engine: sa.Engine
):
    with FakeTrap(broker.port) as trap, listening(broker.port) as heard:
        trap.send(make_window(1))
        until(lambda: trap.holds_acks_for(1), "the trap is known")
        with client_of(database_url, engine, wall_clock_ms) as client:
            told = send(client, name="snapshot", ttl_s=300)
            until(lambda: heard, "it comes")
            until(lambda: client.get(f"{COMMANDS}/{told['id']}").json()["state"] == "sent", "it is marked")
            trap.send_raw(Answer(trap="t1", id=told["id"], state="done").model_dump_json(), ANSWER)
            until(lambda: client.get(f"{COMMANDS}/{told['id']}").json()["state"] == "done", "it is answered")
    (message,) = heard
    command = parse_message(Command, bytes(message.payload))
    assert (command.id, command.name, command.expires_wall_ms) == (told["id"], "snapshot", told["expires_ms"])
    assert not message.retain
    assert 250 < getattr(message.properties, "MessageExpiryInterval", 0) <= 300


def test_what_a_killed_broker_forgot_is_sent_again_when_the_trap_is_back(
    broker: Broker, collecting: RunningIngest, database_url: str, engine: sa.Engine
):
    with FakeTrap(broker.port) as trap:
        trap.send(make_window(1))
        until(lambda: trap.holds_acks_for(1), "the trap is known")
    with client_of(database_url, engine, wall_clock_ms) as client:
        told = send(client, name="status", ttl_s=300)
        until(lambda: client.get(f"{COMMANDS}/{told['id']}").json()["state"] == "sent", "the broker has it")
        broker.kill()
        broker.forget()
        broker.start()
        with listening(broker.port) as heard, FakeTrap(broker.port) as trap:
            trap.introduce()
            until(lambda: heard, "it comes")
    assert parse_message(Command, bytes(heard[0].payload)).id == told["id"]


def test_a_trap_that_connects_is_sent_neither_what_it_answered_nor_what_is_too_old(client: TestClient, store: Store):
    done, _late, still = (send(client, name="status", ttl_s=ttl_s)["id"] for ttl_s in (60, 10, 60))
    store.orders_sent(store.unsent_orders(NOON_MS), NOON_MS + 1)
    answered(store, done, "done", "")
    birth = make_birth("t1").model_dump_json().encode()
    store.commit(sort_arrivals([Arrival(ADDRESS.topic(BIRTH), birth, False, NOON_MS + 10_001)]))
    assert [one.id for one in store.unsent_orders(NOON_MS + 10_001)] == [still]
