"""Writing: one transaction a batch, each window once, everything that was refused kept."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_json
from trap_contract.errors import StoreError
from trap_contract.messages import AckRange, Health, Window, ranges_of
from trap_contract.rollout import Progress
from trap_contract.topics import TrapAddress

from trap_server import evidence, orders, schema, wanted
from trap_server.boots import BootKey, Request, carry_on, read_ledgers, take_requests
from trap_server.bulk import chunks, insert, insert_new, is_one_of, upsert
from trap_server.clocks import Clocks
from trap_server.gaps import Ledger
from trap_server.repair import Start
from trap_server.rollouts.keeping import keep_progress
from trap_server.rollups import keeping, losing, retention
from trap_server.rollups.building import HOUR_MS, HourKey
from trap_server.sorting import Batch, GivenUp, OfferedWindow, Refusal, Sighting, Told, WindowKey
from trap_server.trap_record import TrapRecord
from trap_server.turns import only_reading

PAYLOAD_LIMIT = 64 * 1024
TEXT_LIMIT = 1024
HEALTH_KEPT_MS = 90 * 24 * 3600 * 1000
COLUMNS = (
    *schema.KEY,
    "digest",
    "received_at_ms",
    "wall_ms",
    "duration_ms",
    "clock_synced",
    "semantics",
    "counts",
    "frames_analysed",
    "observed_s",
    "model_id",
    "model_sha256",
    "body",
    "kernel_boot",
    "mono_ms",
    "start_ms",
    "clock_method",
    "clock_error_ms",
)


@dataclass(frozen=True, slots=True)
class Committed:
    """What is in the database now because of a batch, or was there before."""

    stored: int = 0
    duplicates: int = 0
    collisions: tuple[OfferedWindow, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    ranges: dict[TrapAddress, tuple[AckRange, ...]] = field(default_factory=dict)
    given_up: tuple[GivenUp, ...] = ()
    pictures: dict[TrapAddress, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What ingest says of itself; `acknowledged` and `batch_s` count since the last heartbeat."""

    now_ms: int
    connected: bool
    acknowledged: int = 0
    batches: int = 0
    batch_s: float = 0.0


class Store:
    """The collector's side of the database."""

    def __init__(self, engine: sa.Engine, collector: str, evidence_bytes: int = evidence.KEPT_BYTES) -> None:
        self._engine = engine
        self._collector = collector
        self._evidence_bytes = evidence_bytes

    def commit(self, batch: Batch) -> Committed:
        """Store a batch in one transaction; on return it is on disk.

        Raises StoreError, having stored nothing, when the database refuses.
        """
        with self._transaction() as connection:
            ledgers = read_ledgers(connection, batch)
            clocks = Clocks(connection, batch.windows)
            stored, collisions, hours = _insert_windows(connection, batch.windows, clocks, ledgers)
            clocks.keep()
            after = carry_on(connection, ledgers, batch)
            lost = losing.place(connection, ledgers, after, redated=(hour[:2] for hour in clocks.moved))
            keeping.mark(connection, hours | clocks.moved | lost)
            _keep_collisions(connection, collisions)
            _keep_refusals(connection, batch.refusals)
            _keep_told(connection, batch.told)
            evidence.keep(connection, batch.pictures, self._evidence_bytes)
            _update_traps(connection, batch.sightings)
            births = [(one.address, one.birth) for one in batch.sightings if one.birth]
            wanted.compare(connection, births)
            orders.send_again(connection, [address for address, _ in births], batch.newest_ms)
            committed = Committed(
                stored=stored,
                duplicates=len(batch.windows) - stored - len(collisions),
                collisions=tuple(collisions),
                refusals=tuple(batch.refusals),
                ranges=_ranges(batch.windows),
                given_up=tuple(batch.given_up),
                pictures=_settled_pictures(batch),
            )
            self._count(connection, committed)
        return committed

    def roll_up(self, limit: int = keeping.MOST_HOURS) -> int:
        """Build stale hours and their nights anew; returns how many hours. Raises StoreError on refusal."""
        with self._transaction() as connection:
            return keeping.refresh(connection, limit)

    def age_out(self, before_ms: int, limit: int = keeping.MOST_HOURS) -> int:
        """Take out windows of hours that ended before; returns how many. Raises StoreError on refusal."""
        with self._transaction() as connection:
            return retention.age_out(connection, before_ms, limit)

    def take_requests(self, now_ms: int) -> list[Request]:
        """Which windows to ask of which traps now. Raises StoreError when the database refuses."""
        with self._transaction() as connection:
            return take_requests(connection, now_ms)

    def unsent_orders(self, now_ms: int) -> list[orders.Order]:
        """Commands to send now. Raises StoreError when the database refuses."""
        with self._transaction(only_reading(self._engine)) as connection:
            return orders.unsent(connection, now_ms)

    def orders_sent(self, sent: Sequence[orders.Order], now_ms: int) -> None:
        """The broker has been given these. Raises StoreError when the database refuses."""
        with self._transaction() as connection:
            orders.mark_sent(connection, sent, now_ms)

    def untold_settings(self) -> list[wanted.Wanted]:
        """Settings to tell. Raises StoreError when the database refuses."""
        with self._transaction(only_reading(self._engine)) as connection:
            return wanted.untold(connection)

    def settings_told(self, told: Sequence[wanted.Wanted], now_ms: int) -> None:
        """The broker has been given these. Raises StoreError when the database refuses."""
        with self._transaction() as connection:
            wanted.mark_told(connection, told, now_ms)

    def beat(self, heartbeat: Heartbeat) -> None:
        """Say that ingest is alive. Raises StoreError when the database refuses."""
        table = schema.collectors
        first = {"name": self._collector, "heartbeat_ms": heartbeat.now_ms, "connected": heartbeat.connected}
        counters = dict.fromkeys(("stored", "duplicates", "collisions", "quarantined"), 0)
        more = {
            "acknowledged": heartbeat.acknowledged,
            "batches": heartbeat.batches,
            "batch_seconds": heartbeat.batch_s,
        }
        with self._transaction() as connection:
            statement = insert(connection, table).values(**first, **counters, **more)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["name"],
                    set_={
                        "heartbeat_ms": heartbeat.now_ms,
                        "connected": heartbeat.connected,
                        **{name: table.c[name] + value for name, value in more.items()},
                    },
                )
            )

    def _count(self, connection: sa.Connection, committed: Committed) -> None:
        table = schema.collectors
        connection.execute(
            sa.update(table)
            .where(table.c.name == self._collector)
            .values(
                stored=table.c.stored + committed.stored,
                duplicates=table.c.duplicates + committed.duplicates,
                collisions=table.c.collisions + len(committed.collisions),
                quarantined=table.c.quarantined + len(committed.refusals),
            )
        )

    @contextmanager
    def _transaction(self, engine: sa.Engine | None = None) -> Iterator[sa.Connection]:
        try:
            with (engine or self._engine).begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreError(f"database {self._engine.url.database} refuses: {error.orig}") from error


def _insert_windows(
    connection: sa.Connection,
    offered: Sequence[OfferedWindow],
    clocks: Clocks,
    ledgers: dict[BootKey, Ledger],
) -> tuple[int, list[OfferedWindow], set[HourKey]]:
    """Insert the windows whose key is new; of several with one key, the first.

    Returns how many were inserted, those whose key is stored with other content (one number was given to two
    observations), and the hours that may have changed.
    """
    again = {one.key for one in offered if ledgers[one.key[:3]].has_stored(one.key[3])}
    there = _stored(connection, schema.windows.c.digest, again)
    gone = retention.aged_out(connection, offered, there, ledgers) if len(there) < len(again) else set()
    offered = [one for one in offered if one.key not in gone]
    first = {window.key: window for window in reversed(offered)}
    starts = [(window, clocks.start(window)) for window in offered if first[window.key] is window]
    stored = insert_new(connection, schema.windows, COLUMNS, [_row(window, start) for window, start in starts])
    hours = {_hour(window, start) for window, start in starts} if stored else set()
    if stored == len(offered):
        return stored, [], hours
    digests = _stored(connection, schema.windows.c.digest, first)
    suspects = [one for one in offered if digests[one.key] != one.digest]
    bodies = _stored(connection, schema.windows.c.body, {one.key for one in suspects})
    return stored, [one for one in suspects if _content(bodies[one.key]) != one.window.canonical()], hours


def _content(body: str) -> bytes:
    return Window.model_validate_json(body).canonical()


def _hour(offered: OfferedWindow, start: Start) -> HourKey:
    return offered.key[0], offered.key[1], start.start_ms - start.start_ms % HOUR_MS


def _row(offered: OfferedWindow, start: Start) -> tuple[object, ...]:
    """In the order of COLUMNS."""
    window = offered.window
    return (
        *offered.key,
        offered.digest,
        offered.received_at_ms,
        window.wall_ms,
        window.duration_ms,
        window.clock.synced,
        window.semantics,
        None if window.counts is None else to_json(window.counts).decode(),
        window.effort.frames_analysed,
        window.effort.observed_s,
        window.model.id,
        window.model.sha256,
        offered.body,
        window.kernel_boot,
        window.mono_ms,
        start.start_ms,
        start.method,
        start.error_ms,
    )


def _stored(connection: sa.Connection, column: sa.Column[str], keys: Iterable[WindowKey]) -> dict[WindowKey, str]:
    """A column of windows that are stored, by key."""
    c = schema.windows.c
    found: dict[WindowKey, str] = {}
    for (tenant, trap, boot), group in groupby(sorted(keys), key=lambda key: key[:3]):
        of_boot = sa.select(c.seq, column).where(c.tenant == tenant, c.trap == trap, c.boot == boot)
        for seqs in chunks([key[3] for key in group]):
            rows = connection.execute(of_boot.where(c.seq.in_(seqs)))
            found |= {(tenant, trap, boot, seq): value for seq, value in rows}
    return found


def _keep_collisions(connection: sa.Connection, collisions: Iterable[OfferedWindow]) -> None:
    for offered in collisions:
        values = {
            **dict(zip(schema.KEY, offered.key, strict=True)),
            "digest": offered.window.digest(),
            "body": offered.window.canonical().decode(),
            "received_at_ms": offered.received_at_ms,
        }
        _insert_or_count(connection, schema.collisions, values, [*schema.KEY, "digest"])


def _keep_refusals(connection: sa.Connection, refusals: Iterable[Refusal]) -> None:
    for refusal in refusals:
        topic, payload = refusal.arrival.topic, refusal.arrival.payload
        values = {
            "digest": hashlib.sha256(topic.encode() + b"\0" + payload).hexdigest(),
            "topic": topic[:TEXT_LIMIT],
            "tenant": refusal.address.tenant if refusal.address else None,
            "trap": refusal.address.trap if refusal.address else None,
            "reason": refusal.reason[:TEXT_LIMIT],
            "payload": payload[:PAYLOAD_LIMIT],
            "received_at_ms": refusal.arrival.received_at_ms,
        }
        _insert_or_count(connection, schema.quarantine, values, ["digest"])


def _insert_or_count(connection: sa.Connection, table: sa.Table, values: dict[str, Any], unique: list[str]) -> None:
    """Keep one row for one content, however often it comes: a trap that repeats itself must not fill the disk."""
    statement = insert(connection, table).values(**values, times=1)
    connection.execute(statement.on_conflict_do_update(index_elements=unique, set_={"times": table.c.times + 1}))


def _keep_told(connection: sa.Connection, told: Iterable[Told]) -> None:
    health: list[dict[str, Any]] = []
    answers: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in told:
        message, row = one.message, {**asdict(one.address), "received_at_ms": one.received_at_ms}
        if isinstance(message, Health):
            health.append(row | {"body": message.model_dump_json()})
        elif isinstance(message, Progress):
            keep_progress(connection, one.address, message, one.received_at_ms)
        else:
            answer = {"command": message.id, "state": message.state, "text": message.text}
            answers[(one.address.tenant, one.address.trap, message.id)] = row | answer
    if health:
        connection.execute(sa.insert(schema.health), health)
        _forget_health(connection, health)
    upsert(connection, schema.command_answers, list(answers.values()))


def _forget_health(connection: sa.Connection, news: Iterable[dict[str, Any]]) -> None:
    """A trap that tells how it is pushes out what it told long ago."""
    c = schema.health.c
    before = {(row["tenant"], row["trap"]): row["received_at_ms"] - HEALTH_KEPT_MS for row in news}
    old = [{"of": tenant, "named": trap, "before": ms} for (tenant, trap), ms in before.items()]
    is_of_trap = sa.and_(c.tenant == sa.bindparam("of"), c.trap == sa.bindparam("named"))
    connection.execute(sa.delete(schema.health).where(is_of_trap, c.received_at_ms < sa.bindparam("before")), old)


def _update_traps(connection: sa.Connection, sightings: Iterable[Sighting]) -> None:
    by_address: dict[TrapAddress, list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        by_address[sighting.address].append(sighting)
    known = _traps(connection, list(by_address))
    changed = [
        record for address, seen in by_address.items() if (record := known[address].after(seen)) != known[address]
    ]
    upsert(connection, schema.traps, [record.as_row() for record in changed])


def _traps(connection: sa.Connection, addresses: Sequence[TrapAddress]) -> dict[TrapAddress, TrapRecord]:
    c = schema.traps.c
    records = {address: TrapRecord(address.tenant, address.trap) for address in addresses}
    names = [(address.tenant, address.trap) for address in addresses]
    for row in connection.execute(sa.select(schema.traps).where(is_one_of(connection, (c.tenant, c.trap), names))):
        records[TrapAddress(row.tenant, row.trap)] = TrapRecord(*row)
    return records


def _ranges(offered: Iterable[OfferedWindow]) -> dict[TrapAddress, tuple[AckRange, ...]]:
    keys: dict[TrapAddress, list[tuple[str, int]]] = defaultdict(list)
    for window in offered:
        keys[window.address].append((window.window.boot, window.window.seq))
    return {address: ranges_of(found) for address, found in keys.items()}


def _settled_pictures(batch: Batch) -> dict[TrapAddress, tuple[str, ...]]:
    """Ids of pictures that are stored, or in quarantine, by trap."""
    ids: dict[TrapAddress, list[str]] = defaultdict(list)
    for picture in batch.pictures:
        ids[picture.address].append(picture.evidence.id)
    for refusal in batch.refusals:
        if refusal.address is not None and refusal.evidence is not None:
            ids[refusal.address].append(refusal.evidence)
    return {address: tuple(found) for address, found in ids.items()}
