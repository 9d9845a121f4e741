"""What a broker does in silence, each thing done by a real mosquitto, and that it costs nothing; decision 0012."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from brokers import Broker, running_broker
from trap_contract.broker import BrokerAddress, Tls
from trap_contract.topics import TrapAddress
from trap_server import schema, subscriber
from trap_server.simulation.speaker import Speaker
from trap_server.simulation.trap import SimulatedTrap
from waiting import DEADLINE_S, until

from server.running import rows, running_ingest
from server.test_ingest import writer_stopped_before_its_commit
from server.traps import FakeTrap, make_window

SHORT_QUEUE = "max_queued_messages 2\n"
SAVES_SELDOM = "autosave_on_changes false\nautosave_interval 1800\n"
MINUTE = 60_000


@contextmanager
def trap_with_eight_messages(broker: Broker) -> Iterator[tuple[Speaker, SimulatedTrap]]:
    """Sends again after a second what is not acknowledged by the collector."""
    trap = SimulatedTrap(TrapAddress("demo", "t1"), salt=7, patience_s=1.0)
    trap.begin_boot("b" * 32, 0)
    trap.count(8 * 60 * MINUTE)
    speaker = Speaker(BrokerAddress.parse(broker.url, Tls()), "t1", [trap])
    speaker.start()
    until(lambda: speaker.is_ready, "the trap is connected")
    try:
        yield speaker, trap
    finally:
        speaker.stop()


def send_eight(broker: Broker, speaker: Speaker, trap: SimulatedTrap) -> None:
    """The broker has said of each that it has it."""
    before = broker.log().count("Sending PUBACK to t1")
    assert speaker.send(trap, 0.0) == 8
    until(lambda: broker.log().count("Sending PUBACK to t1") == before + 8, "the broker has taken all eight")


def send_until_acknowledged(engine: sa.Engine, speaker: Speaker, trap: SimulatedTrap) -> None:
    turns = iter(range(2, 10**6, 2))
    until(lambda: speaker.send(trap, next(turns)) == 0 and trap.held() == 0, "everything is acknowledged")
    stored = sorted(row["seq"] for row in rows(engine, schema.windows))  # what was sent again may come out of turn
    assert stored == list(range(1, 8 * 60 + 1))


def test_a_queue_that_overflows_while_the_collector_is_away_costs_nothing(tmp_path: Path, engine: sa.Engine):
    with running_broker(tmp_path, extra=SHORT_QUEUE) as broker, trap_with_eight_messages(broker) as (speaker, trap):
        with running_ingest(broker.url, engine):
            pass
        send_eight(broker, speaker, trap)
        assert "messages are being dropped for client test-collector" in broker.log()
        with running_ingest(broker.url, engine):
            send_until_acknowledged(engine, speaker, trap)


def test_a_queue_that_overflows_while_the_collector_is_slow_costs_nothing(
    tmp_path: Path, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(subscriber, "RECEIVE_MAXIMUM", 2)
    with (
        running_broker(tmp_path, extra=SHORT_QUEUE) as broker,
        trap_with_eight_messages(broker) as (speaker, trap),
        running_ingest(broker.url, engine) as collecting,
    ):
        with writer_stopped_before_its_commit(collecting):
            send_eight(broker, speaker, trap)
            assert "messages are being dropped for client test-collector" in broker.log()
        send_until_acknowledged(engine, speaker, trap)


def test_what_a_broker_took_and_had_not_saved_when_it_was_killed_comes_again(tmp_path: Path, engine: sa.Engine):
    with running_broker(tmp_path, extra=SAVES_SELDOM) as broker, trap_with_eight_messages(broker) as (speaker, trap):
        with running_ingest(broker.url, engine):
            pass
        send_eight(broker, speaker, trap)
        broker.restart()
        with running_ingest(broker.url, engine):
            until(lambda: speaker.is_ready, "the trap is back")
            assert rows(engine, schema.windows) == []
            send_until_acknowledged(engine, speaker, trap)


def test_a_broker_that_is_restarted_has_kept_the_collectors_session_and_queue(broker: Broker, engine: sa.Engine):
    with running_ingest(broker.url, engine):
        pass
    with FakeTrap(broker.port) as trap:
        trap.send(make_window(1))
    broker.stop()
    broker.start()
    with running_ingest(broker.url, engine):
        until(lambda: rows(engine, schema.windows), "it comes, and nobody sent it again")


def test_the_broker_sends_more_than_its_twenty_messages_while_nothing_is_committed(broker: Broker, engine: sa.Engine):
    with running_ingest(broker.url, engine) as collecting, FakeTrap(broker.port) as trap:
        with writer_stopped_before_its_commit(collecting) as holds:
            for seq in range(1, 101):
                trap.send(make_window(seq))
            assert holds.wait(DEADLINE_S)
            to_us = "Sending PUBLISH to test-collector"
            until(lambda: broker.log().count(to_us) == 100, "all are on their way, and none is acknowledged")
        until(lambda: trap.holds_acks_for(100), "all are acknowledged after the commit")
