"""Faults that a trap must survive, with real files and a real broker."""

import contextlib
import random
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from brokers import running_broker
from structlog.testing import capture_logs
from trap_agent import delivery, publisher, session
from trap_agent.outbox import FILE_NAME, Outbox, read_account
from trap_agent.session import Session
from trap_contract.broker import BrokerAddress, Tls
from trap_contract.errors import DeliveryError
from trap_contract.topics import ACK, HEALTH, STATE
from trap_contract.topics import BIRTH as BIRTH_LEAF
from waiting import until

from device.collectors import tiny_collector
from device.samples import draft
from device.test_outbox import ADDRESS, BOOT, NEXT_BOOT, balances, opened, span
from device.test_publisher import BIRTH, Trap, trap_at

CUTS = 1000
THREE_DAYS = 3 * 24 * 60


@dataclass(frozen=True)
class Instant:
    """The files as a power cut after one step of the outbox's life would find them, and what they then must hold."""

    database: bytes
    log: bytes
    held: frozenset[int]


def life_of_an_outbox(folder: Path, rng: random.Random) -> list[Instant]:
    """So many windows stored, acknowledged and dropped; each window's wall time is its number."""
    instants = []
    with opened(folder, limit=25) as outbox:
        issued = 0
        for _ in range(80):
            if rng.random() < 0.8:
                issued += 1
                outbox.store(draft(issued))
            else:
                first = rng.randint(1, issued + 1)
                outbox.acknowledge([span(first, first + rng.randint(0, 4))])
            held = frozenset(seq for _, seq in outbox.oldest(999))
            files = [(folder / name).read_bytes() for name in (FILE_NAME, f"{FILE_NAME}-wal")]
            instants.append(Instant(*files, held))
    return instants


def test_an_outbox_cut_at_any_byte_holds_what_it_held_at_some_instant_and_at_the_last_one_when_it_is_whole(tmp_path):
    rng = random.Random(11)
    instants = life_of_an_outbox(tmp_path / "source", rng)
    folder = tmp_path / "cut"
    for number in range(CUTS):
        place = rng.randrange(len(instants))
        instant = instants[place]
        length = len(instant.log) if number % 10 == 0 else rng.randrange(len(instant.log) + 1)
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(instant.database)
        (folder / f"{FILE_NAME}-wal").write_bytes(instant.log[:length])
        with opened(folder, NEXT_BOOT) as outbox:
            windows = outbox.load(outbox.oldest(999))
            held = {window.seq for window in windows}
            assert all(window.wall_ms == window.seq for window in windows)  # no number stands for other content
            assert held in [set(), *(past.held for past in instants[: place + 1])]
            if length == len(instant.log):
                assert held == instant.held
            assert balances(read_account(folder))
        shutil.rmtree(folder)


def fill(outbox: Outbox, count: int) -> None:
    """What so many windows stored one by one leave, in one transaction."""
    rows = [(BOOT, seq, draft(seq)(boot=BOOT, seq=seq).model_dump_json()) for seq in range(1, count + 1)]
    with outbox._transaction() as connection:
        connection.executemany("INSERT INTO windows (boot, seq, body) VALUES (?, ?, ?)", rows)
        connection.execute("UPDATE boots SET issued = ? WHERE boot = ?", (count, BOOT))
    outbox._held = count


def test_three_days_without_a_broker_arrive_whole_behind_what_is_live(tmp_path):
    with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector:
        with opened(tmp_path, limit=10_000) as outbox:
            fill(outbox, THREE_DAYS)
            trap = Trap(outbox, broker.url)
            trap.close_windows(1)
            trap.publisher.start()
            until(lambda: outbox.held == 0, "everything is acknowledged", 120)
            assert trap.finish() == 0
        first, *rest = collector.batches
        assert ([window.seq for window in first.windows], first.backlog) == ([THREE_DAYS + 1], False)
        assert [len(batch.windows) for batch in rest] == [60] * (THREE_DAYS // 60)
        assert collector.seqs(BOOT) == list(range(1, THREE_DAYS + 2))
    account = read_account(tmp_path)
    assert account["issued"] == account["acknowledged"] == THREE_DAYS + 1


class Wire:
    """A TCP proxy that can stop to forward without closing anything, as a dead mobile link does."""

    def __init__(self, port: int) -> None:
        self._broker = port
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def die(self) -> None:
        """Nothing that is sent from now on over the present connections ever arrives."""
        self._flows.clear()

    def revive(self) -> None:
        """New connections work; the old ones stay dead."""
        self._flows = threading.Event()
        self._flows.set()

    def close(self) -> None:
        for each in (self._listener, *self._sockets):
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self._broker))
                self._sockets += [ours, theirs]
                for source, sink in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._forward, args=(source, sink, self._flows), daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, sink: socket.socket, flows: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if flows.is_set():
                    sink.sendall(data)


@pytest.fixture
def wire(tmp_path) -> Iterator[Wire]:
    with running_broker(tmp_path) as broker, contextlib.closing(Wire(broker.port)) as wire:
        wire.broker = broker
        yield wire


def test_a_link_that_dies_without_a_word_is_noticed_and_replaced(tmp_path, wire, monkeypatch):
    monkeypatch.setattr(session, "_KEEPALIVE_S", 2)
    monkeypatch.setattr(publisher, "_RETRY_BASE_S", 0.05)
    with (
        tiny_collector(wire.broker.port) as collector,
        trap_at(tmp_path, f"mqtt://127.0.0.1:{wire.port}") as trap,
        capture_logs() as logs,
    ):
        trap.close_windows(2)
        until(lambda: trap.outbox.held == 0, "delivered while the link lives")
        wire.die()
        trap.close_windows(3)
        until(lambda: any("no delivery" in line["event"] for line in logs), "the dead link is noticed", 60)
        wire.revive()
        until(lambda: trap.outbox.held == 0, "delivered over a new one", 60)
        assert collector.seqs(BOOT) == [1, 2, 3, 4, 5]


def test_of_two_traps_with_one_name_the_broker_throws_the_first_out_and_it_says_so(tmp_path):
    with running_broker(tmp_path) as broker:
        address = BrokerAddress.parse(broker.url, Tls())
        first, clone = (Session(address, ADDRESS, None, BIRTH) for _ in range(2))
        with contextlib.closing(first), contextlib.closing(clone):
            first.open()
            clone.open()
            with pytest.raises(DeliveryError, match=r"connection lost|Session taken over"):
                until(lambda: first.turn(0.05), "the first one is told")
            assert clone.turn(0) == []


def test_windows_that_the_broker_s_rules_deny_are_kept_and_said_and_arrive_once_the_rules_are_right(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(delivery, "RESEND_S", 0.5)
    rules = tmp_path / "rules"
    allowed = "".join(f"topic write {ADDRESS.topic(leaf)}\n" for leaf in (ACK, BIRTH_LEAF, STATE, HEALTH))
    rules.write_text(f"topic read #\n{allowed}")
    rules.chmod(0o644)
    with (
        capture_logs() as logs,
        running_broker(tmp_path, extra=f"acl_file {rules}\n") as broker,
        tiny_collector(broker.port) as collector,
        trap_at(tmp_path, broker.url) as trap,
    ):
        trap.close_windows(3)
        until(lambda: any("publish not delivered" in line["event"] for line in logs), "the refusal is said")
        assert (trap.outbox.held, collector.seqs(BOOT)) == (3, [])
        rules.write_text("topic readwrite #\n")
        broker.process.send_signal(signal.SIGHUP)
        until(lambda: trap.outbox.held == 0, "delivered", 60)
        assert collector.seqs(BOOT) == [1, 2, 3]
