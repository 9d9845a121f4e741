"""Ingest in a thread, and a look into its database."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from trap_contract.broker import BrokerAddress, Tls
from trap_server.database import open_for_reading
from trap_server.inbox import Inbox
from trap_server.ingest import Ingest
from trap_server.store import Store
from trap_server.subscriber import Subscriber
from waiting import until

COLLECTOR = "test-collector"


@dataclass
class RunningIngest:
    """Ingest in a thread, and the parts that a test may look at."""

    ingest: Ingest
    store: Store
    subscriber: Subscriber
    inbox: Inbox
    thread: threading.Thread

    def await_connected(self) -> None:
        until(lambda: self.subscriber.connected, "ingest is subscribed")


@contextmanager
def running_ingest(
    broker_url: str, engine: sa.Engine, stuck_s: float = 60.0, drive: Callable[[int, int], None] = lambda *_: None
) -> Iterator[RunningIngest]:
    """Ingest as `trap-server ingest` composes it, without its process."""
    inbox = Inbox()
    subscriber = Subscriber(BrokerAddress.parse(broker_url, Tls()), COLLECTOR, inbox, random.Random(1), stuck_s=stuck_s)
    store = Store(engine, COLLECTOR)
    ingest = Ingest(store, subscriber, inbox, random.Random(2), drive=drive)
    running = RunningIngest(ingest, store, subscriber, inbox, threading.Thread(target=ingest.run, daemon=True))
    running.thread.start()
    try:
        running.await_connected()
        yield running
    finally:
        ingest.stop()
        running.thread.join(20)
        assert not running.thread.is_alive()


def rows(engine: sa.Engine, table: sa.Table) -> list[dict[str, object]]:
    """Everything in a table, by its key, even while somebody writes."""
    reader = open_for_reading(str(engine.url))
    with reader.connect() as connection:
        found = [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
    reader.dispose()
    return found
