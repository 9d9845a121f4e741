"""The writer: a batch from the inbox becomes rows, then PUBACKs, then acknowledgements to the traps."""

import contextlib
import gc
import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from trap_contract.backoff import Backoff
from trap_contract.errors import StoreError
from trap_contract.logs import log
from trap_contract.messages import Ack, AckRange, Resend
from trap_contract.topics import TrapAddress

from trap_server.database import open_database
from trap_server.inbox import Delivery, Inbox
from trap_server.rollouts.driving import Driver
from trap_server.rollups.keeping import MOST_HOURS
from trap_server.settings import Settings
from trap_server.sorting import sort_arrivals
from trap_server.store import Committed, Heartbeat, Store
from trap_server.subscriber import Subscriber

BATCH_MESSAGES = 500
BATCH_BYTES = 512 * 1024  # some 800 windows in replay: a commit stays short
BATCH_S = 0.1
IDLE_S = 0.1
TELL_S = 0.5
DAY_MS = 24 * 3_600_000
HEARTBEAT_S = 5.0
ORDERS_S = 1.0
RANGES_A_MESSAGE = 500  # some 45 KB: brokers and small boards bound the size of a packet


class Ingest:
    """One writer; a message is acknowledged only when its batch is on disk. `drive` moves rollouts on."""

    def __init__(
        self,
        store: Store,
        subscriber: Subscriber,
        inbox: Inbox,
        rng: random.Random,
        *,
        keep_days: int | None = None,
        drive: Callable[[int, int], None] = lambda _now_ms, _connection: None,
    ) -> None:
        self._keep_days = keep_days
        self._drive = drive
        self._store = store
        self._subscriber = subscriber
        self._inbox = inbox
        self._backoff = Backoff(base_s=0.2, cap_s=10.0, rng=rng)
        self._stopping = threading.Event()
        self._owed: defaultdict[TrapAddress, list[AckRange]] = defaultdict(list)
        self._told_s = 0.0
        self._has_stale = True
        self._beaten_s = 0.0
        self._beaten_connected = False
        self._ordered_s = 0.0
        self._acknowledged = 0
        self._batches = 0
        self._batch_s = 0.0
        self._trouble: str | None = None

    def stop(self) -> None:
        """Ask `run` to return after the batch in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Take, commit, acknowledge, until stopped."""
        self._beat()
        self._roll_up()
        self._subscriber.start()
        try:
            while not self._stopping.is_set():
                deliveries = self._inbox.take(BATCH_MESSAGES, BATCH_BYTES, IDLE_S, BATCH_S)
                if deliveries:
                    self._settle(deliveries)
                elif self._owed:
                    self._tell_owed()
                if self._must_beat():
                    self._beat()
                    self._ask()
                    self._roll_up()
                    self._move_rollouts()
                self._send_orders()
        finally:
            self._tell_owed()
            self._subscriber.stop()
            self._beat()

    def _settle(self, deliveries: Sequence[Delivery]) -> None:
        began_s = time.monotonic()
        batch = sort_arrivals(delivery.arrival for delivery in deliveries)
        committed = self._insist(lambda: self._store.commit(batch))
        if committed is None:
            return  # stopped; the broker sends again what was not acknowledged
        _report(committed)
        self._has_stale = self._has_stale or committed.stored > 0
        if stale := self._subscriber.acknowledge(delivery.token for delivery in deliveries):
            log.info("stale_tokens", messages=stale, meaning="stored, and the broker will send them again")
        for address, ranges in committed.ranges.items():
            self._owed[address] += ranges
            self._acknowledged += sum(one.last - one.first + 1 for one in ranges)
        for address, ids in committed.pictures.items():
            self._subscriber.tell(address, Ack(trap=address.trap, evidence=ids))
        for one in committed.given_up:
            self._owed[one.address] += one.lost.ranges
        self._tell_owed()
        self._batches += 1
        self._batch_s += time.monotonic() - began_s

    def _insist(self, attempt: Callable[[], Committed]) -> Committed | None:
        """Try until the database takes it; None when stopped before."""
        while not self._stopping.is_set():
            try:
                committed = attempt()
            except StoreError as error:
                self._say_trouble(error)
                self._stopping.wait(self._backoff.wait_s())
            else:
                self._say_trouble(None)
                return committed
        return None

    def _tell_owed(self) -> None:
        """One acknowledgement a trap and batch; while more waits, one for several batches."""
        is_behind = not self._inbox.is_empty() and not self._stopping.is_set()
        now_s = time.monotonic()
        if is_behind and now_s - self._told_s < TELL_S:
            return
        for address, ranges in self._owed.items():
            self._tell(address, ranges)
        self._owed.clear()
        self._told_s = now_s

    def _tell(self, address: TrapAddress, ranges: Sequence[AckRange]) -> None:
        for first in range(0, len(ranges), RANGES_A_MESSAGE):
            part = tuple(ranges[first : first + RANGES_A_MESSAGE])
            self._subscriber.tell(address, Ack(trap=address.trap, ranges=part))

    def _ask(self) -> None:
        """Ask the traps for what is missing."""
        try:
            requests = self._store.take_requests(_now_ms())
        except StoreError as error:
            self._say_trouble(error)
            return
        for request in requests:
            self._subscriber.tell(request.address, Resend(trap=request.address.trap, ranges=request.ranges))
            log.info("asked_for_missing", trap=request.address.trap, ranges=len(request.ranges))

    def _send_orders(self) -> None:
        """Send the commands that wait, each for as long as it is still good, and the settings that were changed."""
        if time.monotonic() - self._ordered_s < ORDERS_S or not self._subscriber.connected:
            return
        self._ordered_s, now_ms = time.monotonic(), _now_ms()
        try:
            unsent = self._store.unsent_orders(now_ms)
            for one in unsent:
                self._subscriber.tell(one.address, one.command(), max(1, (one.expires_ms - now_ms) // 1000))
                log.info("command_sent", trap=one.trap, command=one.name, id=one.id)
            if unsent:
                self._store.orders_sent(unsent, now_ms)
            untold = self._store.untold_settings()
            for wanted in untold:
                self._subscriber.leave(wanted.address, wanted.message())
                log.info("settings_told", trap=wanted.trap, version=wanted.version)
            if untold:
                self._store.settings_told(untold, now_ms)
        except StoreError as error:
            self._say_trouble(error)

    def _roll_up(self) -> None:
        """Keep the hours and nights; while messages wait only some, for what is stale is read rightly all the same."""
        if not self._has_stale:
            return
        with contextlib.suppress(StoreError):  # the next batch says so
            while (
                (rolled := self._store.roll_up()) == MOST_HOURS
                and self._inbox.is_empty()
                and not self._stopping.is_set()
            ):
                pass
            self._has_stale = rolled == MOST_HOURS
            if self._keep_days is not None:
                self._store.age_out(_now_ms() - self._keep_days * DAY_MS)

    def _move_rollouts(self) -> None:
        """Only while the broker hears: what is told is told once a connection."""
        if not self._subscriber.connected:
            return
        try:
            self._drive(_now_ms(), self._subscriber.generation)
        except sa.exc.DBAPIError as error:
            log.error("rollouts_wait", reason=str(error.orig), next_step="trying again")

    def _must_beat(self) -> bool:
        late = time.monotonic() - self._beaten_s >= HEARTBEAT_S
        return late or self._subscriber.connected != self._beaten_connected

    def _beat(self) -> None:
        self._beaten_s, self._beaten_connected = time.monotonic(), self._subscriber.connected
        heartbeat = Heartbeat(
            now_ms=_now_ms(),
            connected=self._beaten_connected,
            acknowledged=self._acknowledged,
            batches=self._batches,
            batch_s=self._batch_s,
        )
        try:
            self._store.beat(heartbeat)
        except StoreError as error:
            self._say_trouble(error)
        else:
            self._say_trouble(None)
            self._acknowledged, self._batches, self._batch_s = 0, 0, 0.0

    def _say_trouble(self, error: StoreError | None) -> None:
        """Log a change between working and not, once."""
        if error is None:
            self._backoff.reset()
        trouble = None if error is None else str(error)
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble is None:
                log.info("database_works_again")
            else:
                log.error("database_refuses", reason=trouble, next_step="nothing is acknowledged; trying again")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _report(committed: Committed) -> None:
    for refusal in committed.refusals:
        log.warning("quarantined", topic=refusal.arrival.topic, reason=refusal.reason)
    for offered in committed.collisions:
        log.error(
            "collision",
            key=offered.key,
            meaning="one number, two observations: both kept",
            next_step="look for a second trap with a copy of this trap's card",
        )


def run_ingest(settings: Settings, stop_when_alone: bool) -> None:
    """Compose and run until SIGTERM or SIGINT, or, if asked, until standard input closes.

    Raises ConfigError or StoreError when it can't begin.
    """
    rng = random.Random()  # noqa: S311  jitter, not a secret
    inbox = Inbox()
    subscriber = Subscriber(settings.broker_address, settings.collector, inbox, rng, share=settings.share)
    engine = open_database(settings.database)
    store = Store(engine, settings.collector, settings.evidence_mb * 1_000_000)
    drive = Driver(engine, subscriber.leave).turn
    ingest = Ingest(store, subscriber, inbox, rng, keep_days=settings.keep_windows_days, drive=drive)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ingest.stop())
    if stop_when_alone:
        threading.Thread(target=_await_parent, args=(ingest,), daemon=True).start()
    gc.freeze()  # what is loaded stays: collections need not go through it again for every batch
    ingest.run()


def _await_parent(ingest: Ingest) -> None:
    """Standard input closes when the parent dies, however it dies."""
    while os.read(0, 4096):  # not sys.stdin: the interpreter can't end while a thread holds its lock
        pass
    ingest.stop()
