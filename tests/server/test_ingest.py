"""A real mosquitto, a real SQLite or PostgreSQL: nothing is acknowledged before it is on disk, and nothing is lost."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import sqlalchemy as sa
from brokers import Broker
from structlog.testing import capture_logs
from trap_contract.messages import AckRange, Lost
from trap_contract.topics import LOST
from trap_server import schema, subscriber
from trap_server.database import open_database
from trap_server.packets import puback
from trap_server.sorting import Batch
from trap_server.store import Committed
from trap_server.subscriber import LEAVES
from waiting import DEADLINE_S, until

from server.running import RunningIngest, rows, running_ingest
from server.traps import BOOT, FakeTrap, make_window


def counter(engine: sa.Engine, name: str) -> object:
    found = rows(engine, schema.collectors)
    return found[0][name] if found else None


def owes_a_puback(collecting: RunningIngest) -> bool:
    """Whether a message has come that is not acknowledged to the broker yet."""
    return collecting.inbox.oldest_age_s(time.monotonic()) > 0


@contextmanager
def writer_stopped_before_its_commit(collecting: RunningIngest) -> Iterator[threading.Event]:
    """The event is set once the writer has a message in its hands; it commits when the block ends."""
    holds, may_go = threading.Event(), threading.Event()
    commit = collecting.store.commit

    def commit_later(batch: Batch) -> Committed:
        holds.set()
        assert may_go.wait(DEADLINE_S)
        return commit(batch)

    with mock.patch.object(collecting.store, "commit", commit_later):
        yield holds
        may_go.set()


def test_a_broker_that_is_faster_than_the_writer_is_held_back_and_has_to_send_nothing_twice(
    broker: Broker, collecting: RunningIngest, engine: sa.Engine
):
    collecting.inbox._limit = 1
    with FakeTrap(broker.port) as trap:
        with writer_stopped_before_its_commit(collecting) as holds:
            for seq in range(1, 51):
                trap.send(make_window(seq))
            assert holds.wait(DEADLINE_S)
        until(lambda: trap.holds_acks_for(50), "all are acknowledged")
    assert broker.log().count("Sending PUBLISH to test-collector (d0, q1, r0") == 50
    assert "Sending PUBLISH to test-collector (d1" not in broker.log()
    assert [row["seq"] for row in rows(engine, schema.windows)] == list(range(1, 51))


def test_a_message_that_is_stuck_begins_a_new_connection_though_there_is_no_room_to_read_on(
    broker: Broker, engine: sa.Engine
):
    connected = "as test-collector (p5, c0"
    with running_ingest(broker.url, engine, stuck_s=0.5) as collecting, FakeTrap(broker.port) as trap:
        collecting.inbox._limit = 1
        with writer_stopped_before_its_commit(collecting) as holds:
            trap.send(make_window(1))
            assert holds.wait(DEADLINE_S)
            for seq in range(2, 5):
                trap.send(make_window(seq))
            until(lambda: broker.log().count(connected) > 1, "it connects anew", subscriber.KEEPALIVE_S)
        until(lambda: trap.holds_acks_for(4), "all are acknowledged")


def test_a_window_is_stored_and_acknowledged(broker: Broker, collecting: RunningIngest, engine: sa.Engine):
    with FakeTrap(broker.port) as trap:
        trap.send(make_window(1), make_window(2))
        until(lambda: trap.holds_acks_for(2), "both are acknowledged")
    assert set(trap.acknowledged) == {(BOOT, 1), (BOOT, 2)}
    assert [row["seq"] for row in rows(engine, schema.windows)] == [1, 2]


def test_a_window_sent_again_is_stored_once_and_acknowledged_again(
    broker: Broker, collecting: RunningIngest, engine: sa.Engine
):
    with FakeTrap(broker.port) as trap:
        for _ in range(3):
            trap.send(make_window(1))
        until(lambda: counter(engine, "duplicates") == 2, "two duplicates are counted")
        until(lambda: (BOOT, 1) in trap.acknowledged, "it is acknowledged")
    assert (counter(engine, "stored"), len(rows(engine, schema.windows))) == (1, 1)


def test_nothing_is_acknowledged_while_the_database_is_blocked(
    broker: Broker, collecting: RunningIngest, engine: sa.Engine, database_url: str
):
    with FakeTrap(broker.port) as trap:
        with open_database(database_url).begin():  # another writer's turn
            trap.send(make_window(1))
            until(lambda: owes_a_puback(collecting), "the message has come")
            assert trap.acknowledged == []
            assert rows(engine, schema.windows) == []
        until(lambda: trap.holds_acks_for(1), "it is acknowledged once the database is free")
        until(lambda: not owes_a_puback(collecting), "its PUBACK is sent")
    assert len(rows(engine, schema.windows)) == 1


def test_poison_is_quarantined_and_later_messages_still_flow(
    broker: Broker, collecting: RunningIngest, engine: sa.Engine
):
    with FakeTrap(broker.port) as trap:
        for poison in (b"\xff\xfe", b"{", b'{"v": 7}', b"x" * 100_000):
            trap.send_raw(poison)
        trap.send(make_window(1))
        until(lambda: trap.holds_acks_for(1), "the good one is acknowledged")
    assert len(rows(engine, schema.quarantine)) == 4
    assert not owes_a_puback(collecting), "a poison message was left unacknowledged"


def test_retained_counts_are_quarantined(broker: Broker, collecting: RunningIngest, engine: sa.Engine):
    with FakeTrap(broker.port) as trap:
        trap.send_raw(b"{}", retain=True)
        until(lambda: rows(engine, schema.quarantine), "the retained message is in quarantine")
    assert "retain" in str(rows(engine, schema.quarantine)[0]["reason"])


def test_what_is_sent_while_ingest_is_away_comes_when_it_returns(broker: Broker, engine: sa.Engine):
    with running_ingest(broker.url, engine):
        pass
    with FakeTrap(broker.port) as trap:
        trap.send(make_window(1))
        with running_ingest(broker.url, engine):
            until(lambda: trap.holds_acks_for(1), "the broker's queue was not wiped")


def test_rollouts_are_told_of_every_new_connection_to_the_broker(broker: Broker, engine: sa.Engine):
    numbers: list[int] = []
    with running_ingest(broker.url, engine, drive=lambda _now_ms, number: numbers.append(number)):
        until(lambda: numbers, "the first")
        broker.restart()
        until(lambda: len(set(numbers)) > 1, "another")


def test_a_broker_killed_with_its_sessions_kept_loses_and_doubles_nothing(
    broker: Broker, collecting: RunningIngest, engine: sa.Engine
):
    with FakeTrap(broker.port) as trap:
        trap.send(make_window(1))
        until(lambda: trap.holds_acks_for(1), "the first is acknowledged")
        broker.restart()
        until(trap.client.is_connected, "the trap is back")
        trap.send(make_window(1), make_window(2))
        collecting.await_connected()
        trap.send(make_window(1), make_window(2))  # as a trap does that got no acknowledgement
        until(lambda: trap.holds_acks_for(2), "both are acknowledged")
    assert [row["seq"] for row in rows(engine, schema.windows)] == [1, 2]


def test_stale_tokens_are_dropped_after_the_broker_forgot_the_session(
    broker: Broker, collecting: RunningIngest, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
):
    """Packet numbers start again: an old PUBACK would acknowledge a new message that is not stored."""
    sent: list[int] = []
    monkeypatch.setattr(subscriber, "puback", lambda mid: (sent.append(mid), puback(mid))[1])
    with FakeTrap(broker.port, name="t1") as trap:
        with writer_stopped_before_its_commit(collecting) as holds:
            trap.send(make_window(1))
            assert holds.wait(DEADLINE_S)
            broker.kill()
            broker.forget()
            broker.start()
            until(lambda: not collecting.subscriber.connected, "ingest has noticed")
            collecting.await_connected()
            assert sent == []
        until(lambda: rows(engine, schema.windows), "the message in hand is stored")
        until(trap.client.is_connected, "the trap is back")
        trap.send(make_window(2))
        until(lambda: len(rows(engine, schema.windows)) == 2, "the next one is stored")
        until(lambda: sent, "it is acknowledged")
    assert len(sent) == 1


def test_a_message_that_waits_too_long_makes_ingest_connect_anew(broker: Broker, engine: sa.Engine, database_url: str):
    with running_ingest(broker.url, engine, stuck_s=0.5) as running, FakeTrap(broker.port) as trap:
        with open_database(database_url).begin():  # another writer's turn
            trap.send(make_window(1))
            until(lambda: not running.subscriber.connected, "the watchdog has dropped the connection")
        until(lambda: trap.holds_acks_for(1), "the message came again and is acknowledged")
    assert len(rows(engine, schema.windows)) == 1


def test_a_refused_subscription_is_noticed(broker: Broker, engine: sa.Engine):
    with capture_logs() as logs, running_ingest(broker.url, engine) as running:
        refused = type("Refused", (), {"is_failure": True})()
        running.subscriber._on_subscribe(running.subscriber._client, None, 1, [refused] * len(LEAVES), None)
        until(lambda: not running.subscriber.connected, "the connection was given up")
        running.await_connected()
    assert "subscription_refused" in [entry["event"] for entry in logs]


def test_birth_and_state_become_what_is_known_of_a_trap(broker: Broker, collecting: RunningIngest, engine: sa.Engine):
    with FakeTrap(broker.port) as trap:
        trap.introduce()
        trap.send(make_window(1))
        until(lambda: trap.holds_acks_for(1), "all of it is stored")
    (known,) = rows(engine, schema.traps)
    assert (known["state"], known["boot"], known["window_ms"]) == ("online", BOOT, 60_000)
    assert "Raspberry Pi 5" in str(known["birth"])


def test_a_trap_announced_before_ingest_first_came_is_known(broker: Broker, engine: sa.Engine):
    with FakeTrap(broker.port) as trap:
        trap.introduce()
    with running_ingest(broker.url, engine):
        until(lambda: rows(engine, schema.traps), "the retained birth was read")
    assert rows(engine, schema.traps)[0]["last_seen_ms"] is None


def test_what_is_lost_is_stored_and_acknowledged_as_lost(broker: Broker, collecting: RunningIngest, engine: sa.Engine):
    with FakeTrap(broker.port) as trap:
        trap.send(make_window(4))
        lost = Lost(trap="t1", ranges=(AckRange(boot=BOOT, first=1, last=3),), reason="outbox_full")
        trap.send_raw(lost.model_dump_json(), LOST)
        until(lambda: trap.holds_acks_for(4), "the window and the loss are acknowledged")
    assert rows(engine, schema.boots)[0]["lost"] == [[1, 3]]
    assert [row["seq"] for row in rows(engine, schema.windows)] == [4]


def test_a_trap_that_is_online_is_asked_for_what_is_missing(
    broker: Broker, collecting: RunningIngest, engine: sa.Engine
):
    with FakeTrap(broker.port) as trap:
        trap.introduce()
        trap.send(make_window(1), make_window(4))
        until(lambda: trap.holds_acks_for(2), "both are acknowledged")
        with engine.begin() as connection:
            connection.execute(sa.update(schema.boots).values(ask_at_ms=0))
        until(lambda: trap.asked, "the trap is asked")
    assert trap.asked == [AckRange(boot=BOOT, first=2, last=3)]


def test_acknowledgements_of_many_ranges_come_in_parts(broker: Broker, collecting: RunningIngest, engine: sa.Engine):
    seqs = range(1, 2401, 2)
    with FakeTrap(broker.port) as trap:
        for first in range(0, len(seqs), 60):
            trap.send(*(make_window(seq) for seq in seqs[first : first + 60]))
        until(lambda: trap.holds_acks_for(len(seqs)), "every odd one is acknowledged")
    assert {seq for _, seq in trap.acknowledged} == set(seqs)
