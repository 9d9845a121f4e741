"""The publisher against a real mosquitto."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from brokers import Broker, running_broker
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from structlog.testing import capture_logs
from trap_agent import delivery, publisher
from trap_agent.outbox import Outbox, read_account
from trap_agent.publisher import Link, Publisher
from trap_agent.session import Heard, Session
from trap_contract.broker import BrokerAddress, Tls
from trap_contract.errors import DeliveryError
from trap_contract.messages import Ack, AckRange, Birth, Resend, State, parse_message
from trap_contract.topics import ACK, RESEND
from waiting import until

from device.collectors import tiny_collector
from device.samples import CLASSES, MODEL, NO_BROKER, SetClock, draft
from device.test_outbox import ADDRESS, BOOT, NEXT_BOOT, opened

BIRTH = Birth(
    trap=ADDRESS.trap,
    boot=BOOT,
    agent_version="test",
    model=MODEL,
    classes=CLASSES,
    semantics="occupancy",
    window_s=60,
)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(publisher, "_RETRY_BASE_S", 0.05)


@pytest.fixture
def broker(tmp_path) -> Iterator[Broker]:
    with running_broker(tmp_path) as broker:
        yield broker


class Trap:
    """An outbox with a running publisher."""

    def __init__(self, outbox: Outbox, url: str, tls: ssl.SSLContext | None = None) -> None:
        self.outbox = outbox
        link = Link(BrokerAddress.parse(url, Tls()), ADDRESS, tls, BIRTH)
        self.publisher = Publisher(link, outbox, SetClock(), 60, np.random.default_rng(0))

    def close_windows(self, count: int) -> None:
        for _ in range(count):
            self.publisher.announce(self.outbox.store(draft()))

    def finish(self, within_s: float = 10) -> int:
        return self.publisher.finish(within_s, threading.Event())


@contextmanager
def trap_at(folder: Path, url: str, boot: str = BOOT, held: int = 0) -> Iterator[Trap]:
    """A running publisher whose outbox already held some windows; what is left at the end is not waited for."""
    with opened(folder, boot, limit=10_000) as outbox:
        for _ in range(held):
            outbox.store(draft())
        trap = Trap(outbox, url)
        trap.publisher.start()
        try:
            yield trap
        finally:
            trap.finish(0)


def test_what_the_collector_acknowledges_leaves_the_outbox(tmp_path, broker):
    with tiny_collector(broker.port) as collector, trap_at(tmp_path, broker.url) as trap:
        trap.close_windows(5)
        until(lambda: trap.outbox.held == 0, "all acknowledged")
        assert collector.seqs(BOOT) == [1, 2, 3, 4, 5]
        assert read_account(tmp_path)["acknowledged"] == 5


def test_a_puback_deletes_nothing(tmp_path, broker):
    with tiny_collector(broker.port, acks=False) as collector, trap_at(tmp_path, broker.url) as trap:
        trap.close_windows(3)
        until(lambda: len(collector.stored) == 3, "all arrived")
        until(lambda: "Sending PUBACK to acme-t-1" in broker.log(), "the broker took them")
        assert trap.finish(0.5) == 3
    assert read_account(tmp_path)["pending"] == 3


def test_what_stays_unacknowledged_is_sent_again(tmp_path, broker, monkeypatch):
    monkeypatch.setattr(delivery, "RESEND_S", 0.2)
    with tiny_collector(broker.port, acks=False) as collector, trap_at(tmp_path, broker.url) as trap:
        trap.close_windows(1)
        until(lambda: len(collector.batches) >= 3, "sent three times")
        collector.acks = True
        until(lambda: trap.outbox.held == 0, "acknowledged at last")
    assert len(collector.stored) == 1


def test_at_most_eight_messages_of_sixty_windows_are_in_flight(tmp_path, broker):
    with tiny_collector(broker.port, acks=False) as collector, trap_at(tmp_path, broker.url, held=1000) as trap:
        until(lambda: len(collector.batches) == 8, "eight messages")
        trap.close_windows(1)
        trap.finish(0.3)  # in flight and hastened: the same eight, never a ninth
        assert {len(batch.windows) for batch in collector.batches} == {60}
        assert len(collector.stored) == 480
        collector.acks = True
    with tiny_collector(broker.port) as collector, trap_at(tmp_path, broker.url, NEXT_BOOT) as trap:
        assert trap.finish() == 0
        assert collector.seqs(BOOT) == list(range(1, 1002))


def test_live_windows_go_before_the_backlog(tmp_path, broker):
    with tiny_collector(broker.port) as collector, opened(tmp_path) as outbox:
        for _ in range(70):
            outbox.store(draft())
        trap = Trap(outbox, broker.url)
        trap.close_windows(1)
        trap.publisher.start()
        assert trap.finish() == 0
    sent = [(batch.backlog, batch.windows[0].seq, len(batch.windows)) for batch in collector.batches]
    assert sent == [(False, 71, 1), (True, 1, 60), (True, 61, 10)]


def test_a_broker_that_dies_and_comes_back_costs_nothing(tmp_path, broker):
    with tiny_collector(broker.port) as collector, trap_at(tmp_path, broker.url) as trap:
        for _ in range(3):
            trap.close_windows(4)
            until(lambda: trap.outbox.held == 0, "delivered while the broker lives")
            broker.kill()
            trap.close_windows(4)
            broker.start()
        assert trap.finish(40) == 0
        assert collector.seqs(BOOT) == list(range(1, 25))
    account = read_account(tmp_path)
    assert (account["issued"], account["acknowledged"]) == (24, 24)


def test_an_unreachable_broker_is_named_and_the_windows_are_kept(tmp_path):
    url = f"mqtt://me:secret@127.0.0.1:{NO_BROKER}"
    with capture_logs() as logs, trap_at(tmp_path, url) as trap:
        trap.close_windows(2)
        until(lambda: logs, "a line in the log")
        assert trap.finish(0.2) == 2
    assert url.replace(":secret", "") in logs[0]["error"]
    assert "can't be reached" in logs[0]["error"]
    assert "secret" not in str(logs)


def test_acknowledgements_that_are_malformed_or_foreign_change_nothing(tmp_path, broker):
    good = Ack(trap=ADDRESS.trap, ranges=(AckRange(boot=BOOT, first=1, last=2),))
    foreign_boot = Ack(trap=ADDRESS.trap, ranges=(AckRange(boot="f" * 32, first=1, last=2**53 - 1),))
    with (
        capture_logs() as logs,
        tiny_collector(broker.port, acks=False) as collector,
        trap_at(tmp_path, broker.url, held=4) as trap,
    ):
        until(lambda: collector.stored, "the trap is connected")
        for payload in (b"\xff\x00", b"{}", good.model_copy(update={"trap": "t-2"}).model_dump_json()):
            collector.publish(ADDRESS.topic(ACK), payload)
        collector.publish(ADDRESS.topic(ACK), foreign_boot.model_dump_json())
        collector.publish(ADDRESS.topic(ACK), good.model_dump_json())
        until(lambda: trap.outbox.held == 2, "the good one was heard")
        assert trap.outbox.oldest(9) == [(BOOT, 3), (BOOT, 4)]
    assert [line["event"] for line in logs].count("message ignored") == 3


def test_what_the_collector_asks_for_comes_at_once_and_what_is_gone_is_told(tmp_path, broker):
    with opened(tmp_path, limit=5) as outbox:
        for _ in range(8):
            outbox.store(draft())
    asked = Resend(
        trap=ADDRESS.trap, ranges=(AckRange(boot=BOOT, first=1, last=5), AckRange(boot=BOOT, first=9, last=9))
    )
    with tiny_collector(broker.port, acks=False) as collector, trap_at(tmp_path, broker.url, NEXT_BOOT) as trap:
        until(lambda: collector.lost and collector.batches, "the loss is told unasked")
        collector.publish(ADDRESS.topic(RESEND), asked.model_dump_json())
        until(lambda: len(collector.batches) == 2, "sent again")
        until(lambda: any(lost.reason == "never_held" for lost in collector.lost), "the answer for the rest")
        told = {(lost.reason, part.first, part.last) for lost in collector.lost for part in lost.ranges}
        assert told == {("outbox_full", 1, 3), ("never_held", 9, 9)}
        settled = Ack(trap=ADDRESS.trap, ranges=(AckRange(boot=BOOT, first=1, last=9),))
        collector.publish(ADDRESS.topic(ACK), settled.model_dump_json())
        until(lambda: trap.outbox.held == 0, "everything is settled")
        assert trap.outbox.losses(9) == []


def test_a_loss_is_told_until_it_is_acknowledged(tmp_path, broker, monkeypatch):
    monkeypatch.setattr(publisher, "_LOST_EVERY_S", 0.2)
    with tiny_collector(broker.port, acks=False) as collector, opened(tmp_path, limit=1) as outbox:
        for _ in range(3):
            outbox.store(draft())
        trap = Trap(outbox, broker.url)
        trap.publisher.start()
        until(lambda: len(collector.lost) >= 3, "told three times")
        settled = Ack(trap=ADDRESS.trap, ranges=(AckRange(boot=BOOT, first=1, last=3),))
        collector.publish(ADDRESS.topic(ACK), settled.model_dump_json())
        until(lambda: outbox.held == 0, "settled")
        assert trap.finish() == 0
        assert outbox.losses(9) == []


def test_a_broker_that_takes_small_messages_only_gets_small_ones(tmp_path):
    with (
        running_broker(tmp_path, extra="max_packet_size 4000\n") as broker,
        tiny_collector(broker.port) as collector,
        trap_at(tmp_path, broker.url, held=100) as trap,
    ):
        until(lambda: trap.outbox.held == 0, "all acknowledged")
        assert collector.seqs(BOOT) == list(range(1, 101))
        assert max(len(batch.model_dump_json()) for batch in collector.batches) < 4000


@pytest.mark.parametrize(("codes", "is_usable"), [((1, 0x87, 0x87, 0x87, 0x87), True), ((0x87, 1, 1, 1, 1), False)])
def test_only_the_acknowledgements_are_needed_of_what_a_trap_listens_to(codes, is_usable):
    session = Session(BrokerAddress("localhost", 1883), ADDRESS, None, BIRTH)
    reasons = [ReasonCode(PacketTypes.SUBACK, identifier=code) for code in codes]
    with capture_logs() as logs:
        session._on_subscribe(None, None, 1, reasons, None)
    assert session._is_subscribed is is_usable
    assert [line["topic"].rsplit("/")[-1] for line in logs] == (
        ["resend", "command", "desired", "settings"] if is_usable else ["ack"]
    )


def test_birth_and_state_are_retained_and_say_what_is_held(tmp_path, broker):
    with tiny_collector(broker.port, acks=False) as collector, trap_at(tmp_path, broker.url, held=7) as trap:
        until(lambda: {"state", "birth"} <= set(collector.retained), "state and birth")
        assert parse_message(State, collector.retained["state"]).state == "online"
        assert parse_message(Birth, collector.retained["birth"]).held == (AckRange(boot=BOOT, first=1, last=7),)
        trap.finish(0)
    with tiny_collector(broker.port) as late:
        until(lambda: {"state", "birth"} <= set(late.retained), "they are retained")
        assert parse_message(State, late.retained["state"]).state == "stopped"


def test_a_refused_publish_is_logged_once_and_keeps_its_windows(tmp_path):
    (tmp_path / "acl").write_text("topic read mt/#\ntopic write mt/v1/+/+/state\ntopic write mt/v1/+/+/birth\n")
    with (
        running_broker(tmp_path, extra=f"acl_file {tmp_path}/acl\n") as broker,
        capture_logs() as logs,
        trap_at(tmp_path, broker.url) as trap,
    ):
        trap.close_windows(1)
        until(lambda: any("not delivered" in line["event"] for line in logs), "the refusal")
        trap.close_windows(1)
        until(lambda: broker.log().count("Denied PUBLISH") >= 2, "the second refusal")
        assert trap.finish(0.3) == 2
    assert [line["reason"] for line in logs if "not delivered" in line["event"]] == ["Not authorized"]


def test_a_broker_without_a_collector_is_told_once_and_the_windows_are_kept(tmp_path, broker):
    with capture_logs() as logs, trap_at(tmp_path, broker.url) as trap:
        for number in (1, 2):
            trap.close_windows(1)
            until(lambda number=number: broker.log().count("/counts'") >= number, "the broker took it")
        until(lambda: any("not delivered" in line["event"] for line in logs), "the warning")
        assert trap.finish(0.3) == 2
    assert [line["reason"] for line in logs if "not delivered" in line["event"]] == ["No matching subscribers"]


def test_at_the_end_what_was_sent_in_vain_is_sent_again_at_once(tmp_path, broker):
    with tiny_collector(broker.port, acks=False) as collector, trap_at(tmp_path, broker.url) as trap:
        trap.close_windows(1)
        until(lambda: collector.batches, "sent, and not acknowledged")
        collector.acks = True
        assert trap.finish(delivery.RESEND_S / 3) == 0


def test_two_traps_with_one_name_push_each_other_off_and_each_asks_for_the_other(tmp_path, broker, monkeypatch):
    monkeypatch.setattr(publisher, "_TAKEN_OVER_S", 5.0)
    with capture_logs() as logs, trap_at(tmp_path / "one", broker.url), trap_at(tmp_path / "two", broker.url):

        def asked() -> int:
            words = ("does another trap have this one's name?", "another client took this trap's name")
            return sum(any(word in line["event"] for word in words) for line in logs)

        until(lambda: asked() >= 2, "both say so")
    assert "already connected, closing old connection" in broker.log()


def test_a_session_that_lasted_is_followed_by_no_question_for_a_rival(tmp_path, broker, monkeypatch):
    monkeypatch.setattr(publisher, "_TAKEN_OVER_S", 0.0)
    with capture_logs() as logs, trap_at(tmp_path, broker.url):
        for number in range(1, 5):
            until(lambda n=number: [line["event"] for line in logs].count("connected") == n, "it is in")
            broker.restart()
    assert not [line for line in logs if "another" in line["event"]]


def test_a_broker_that_wants_a_password_says_what_to_check(tmp_path):
    with running_broker(tmp_path) as broker:
        broker.stop()
        (tmp_path / "passwords").write_text("")
        broker.extra = f"allow_anonymous false\npassword_file {tmp_path}/passwords\n"
        broker.start()
        session = Session(BrokerAddress.parse(broker.url, Tls()), ADDRESS, None, BIRTH)
        with pytest.raises(DeliveryError, match="refused: Not authorized: check user, password or certificate"):
            session.open()
        session.close()


def test_an_acknowledgement_sent_while_the_trap_was_away_is_heard_at_the_next_connect(broker):
    first, second = (Session(BrokerAddress.parse(broker.url, Tls()), ADDRESS, None, BIRTH) for _ in range(2))
    first.open()
    first.close()
    with tiny_collector(broker.port) as collector:
        collector.publish(ADDRESS.topic(ACK), b"while you were away")
    with closing(second):
        second.open()
        heard: list[Heard] = []
        until(lambda: heard.extend(second.turn(0.05)) or heard, "the acknowledgement")
    assert heard == [Heard(ACK, b"while you were away", is_retained=False)]


def test_a_trap_that_vanishes_is_reported_by_its_will(broker, monkeypatch):
    monkeypatch.setattr("trap_agent.session._WILL_DELAY_S", 0)
    will = State(trap=ADDRESS.trap, state="offline", boot=BOOT, wall_ms=1)
    session = Session(BrokerAddress.parse(broker.url, Tls()), ADDRESS, None, will)
    session.open()
    with tiny_collector(broker.port) as collector:
        session._client.socket().shutdown(socket.SHUT_RDWR)
        until(lambda: "state" in collector.retained, "the will")
        assert parse_message(State, collector.retained["state"]) == will


def test_a_session_whose_name_another_client_takes_knows_it():
    session = Session(BrokerAddress("localhost", 1883), ADDRESS, None, BIRTH)
    session._on_disconnect(None, None, None, ReasonCode(PacketTypes.DISCONNECT, "Session taken over"), None)
    assert session.is_taken_over
    with pytest.raises(DeliveryError, match="Session taken over"):
        session.turn(0)


def test_a_fault_in_the_publisher_is_raised_where_the_agent_stores(tmp_path, broker, monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("in the publisher")

    monkeypatch.setattr(delivery.Delivery, "next", fail)
    with opened(tmp_path) as outbox:
        trap = Trap(outbox, broker.url)
        trap.publisher.start()
        with pytest.raises(ZeroDivisionError, match="in the publisher"):
            until(lambda: trap.close_windows(1), "the fault")
