"""Writing: one transaction a batch, each window once, everything that was refused kept."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, field
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from trap_contract.errors import StoreError
from trap_contract.messages import AckRange, ranges_of
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.sorting import Batch, OfferedWindow, Refusal, Sighting
from trap_server.trap_record import TrapRecord

PAYLOAD_LIMIT = 64 * 1024
TEXT_LIMIT = 1024
INSERTS: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

Key = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Committed:
    """What is in the database now because of a batch, or was there before."""

    stored: int = 0
    duplicates: int = 0
    collisions: tuple[OfferedWindow, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    ranges: dict[TrapAddress, tuple[AckRange, ...]] = field(default_factory=dict)


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

    def __init__(self, engine: sa.Engine, collector: str) -> None:
        self._engine = engine
        self._collector = collector

    def commit(self, batch: Batch) -> Committed:
        """Store a batch in one transaction; on return it is on disk.

        Raises StoreError, having stored nothing, when the database refuses.
        """
        with self._transaction() as connection:
            inserted = _insert_windows(connection, batch.windows)
            collisions = _judge(connection, batch.windows, inserted)
            _keep_collisions(connection, collisions)
            _keep_refusals(connection, batch.refusals)
            _update_traps(connection, batch.sightings)
            committed = Committed(
                stored=len(inserted),
                duplicates=len(batch.windows) - len(inserted) - len(collisions),
                collisions=tuple(collisions),
                refusals=tuple(batch.refusals),
                ranges=_ranges(batch.windows),
            )
            self._count(connection, committed)
        return committed

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
            statement = _insert(connection, table).values(**first, **counters, **more)
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
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreError(f"database {self._engine.url.database} refuses: {error.orig}") from error


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    """The insert that knows ON CONFLICT, in the connection's dialect."""
    return INSERTS[connection.dialect.name](table)


def _insert_windows(connection: sa.Connection, offered: Sequence[OfferedWindow]) -> set[Key]:
    """Insert the windows whose key is new; of several with one key, the first. Returns the keys inserted."""
    if not offered:
        return set()
    table = schema.windows
    first = {window.key: window for window in reversed(offered)}
    rows = [_row(window) for window in offered if first[window.key] is window]
    statement = _insert(connection, table).on_conflict_do_nothing(index_elements=schema.KEY)
    key_columns = [table.c[name] for name in schema.KEY]
    return {tuple(row) for row in connection.execute(statement.returning(*key_columns), rows)}


def _row(offered: OfferedWindow) -> dict[str, object]:
    window = offered.window
    return {
        **dict(zip(schema.KEY, offered.key, strict=True)),
        "digest": offered.digest,
        "received_at_ms": offered.received_at_ms,
        "wall_ms": window.wall_ms,
        "duration_ms": window.duration_ms,
        "clock_synced": window.clock.synced,
        "semantics": window.semantics,
        "counts": window.counts,
        "frames_analysed": window.effort.frames_analysed,
        "observed_s": window.effort.observed_s,
        "model_id": window.model.id,
        "model_sha256": window.model.sha256,
        "body": window.canonical().decode(),
    }


def _judge(connection: sa.Connection, offered: Sequence[OfferedWindow], inserted: set[Key]) -> list[OfferedWindow]:
    """The windows whose key is stored with other content: one number was given to two observations."""
    own = {window.key: window.digest for window in reversed(offered)}
    known = sorted(key for key in own if key not in inserted)
    stored = {key: own[key] for key in inserted} | _stored_digests(connection, known)
    return [window for window in offered if stored[window.key] != window.digest]


def _stored_digests(connection: sa.Connection, keys: Sequence[Key]) -> dict[Key, str]:
    """Digests by key; `keys` are sorted, and all of them are stored."""
    c = schema.windows.c
    digests: dict[Key, str] = {}
    for (tenant, trap, boot), group in groupby(keys, key=lambda key: key[:3]):
        seqs = [key[3] for key in group]
        query = sa.select(c.seq, c.digest).where(c.tenant == tenant, c.trap == trap, c.boot == boot, c.seq.in_(seqs))
        digests |= {(tenant, trap, boot, seq): digest for seq, digest in connection.execute(query)}
    return digests


def _keep_collisions(connection: sa.Connection, collisions: Iterable[OfferedWindow]) -> None:
    for offered in collisions:
        values = {
            **dict(zip(schema.KEY, offered.key, strict=True)),
            "digest": offered.digest,
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
    statement = _insert(connection, table).values(**values, times=1)
    connection.execute(statement.on_conflict_do_update(index_elements=unique, set_={"times": table.c.times + 1}))


def _update_traps(connection: sa.Connection, sightings: Iterable[Sighting]) -> None:
    by_address: dict[TrapAddress, list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        by_address[sighting.address].append(sighting)
    for address, seen in by_address.items():
        known = _trap(connection, address)
        record = known.after(seen)
        if record != known:
            statement = _insert(connection, schema.traps).values(**asdict(record))
            changed = {name: value for name, value in asdict(record).items() if name not in ("tenant", "trap")}
            connection.execute(statement.on_conflict_do_update(index_elements=["tenant", "trap"], set_=changed))


def _trap(connection: sa.Connection, address: TrapAddress) -> TrapRecord:
    c = schema.traps.c
    row = connection.execute(
        sa.select(schema.traps).where(c.tenant == address.tenant, c.trap == address.trap)
    ).one_or_none()
    return TrapRecord(*astuple(address)) if row is None else TrapRecord(**row._mapping)  # noqa: SLF001  public in SQLAlchemy


def _ranges(offered: Iterable[OfferedWindow]) -> dict[TrapAddress, tuple[AckRange, ...]]:
    keys: dict[TrapAddress, list[tuple[str, int]]] = defaultdict(list)
    for window in offered:
        keys[window.address].append((window.window.boot, window.window.seq))
    return {address: ranges_of(found) for address, found in keys.items()}
