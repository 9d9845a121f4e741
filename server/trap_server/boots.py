"""The ledgers of the boots a batch touches: read, carried on, written back in the batch's transaction."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from trap_contract.messages import AckRange
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.bulk import insert, is_one_of, upsert
from trap_server.gaps import Ledger, Range
from trap_server.sorting import Batch, GivenUp

QUIET_MS = 120_000
AGAIN_MS = 600_000
MOST_TRAPS = 50
MOST_RANGES = 100

BootKey = tuple[str, str, str]
_B = schema.boots.c


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask of one trap."""

    address: TrapAddress
    ranges: tuple[AckRange, ...]


def read_ledgers(connection: sa.Connection, batch: Batch) -> dict[BootKey, Ledger]:
    """The ledgers of every boot that the batch speaks of."""
    keys: set[BootKey] = {one.key[:3] for one in batch.windows}
    keys |= {(*_names(one.address), told.boot) for one in batch.given_up for told in one.lost.ranges}
    keys |= {key for key, _ in _held(batch)}
    ledgers = dict.fromkeys(keys, Ledger())
    return ledgers | dict(_read(connection, is_one_of(connection, (_B.tenant, _B.trap, _B.boot), sorted(keys))))


def with_losses(connection: sa.Connection, traps: Sequence[tuple[str, str]]) -> Iterator[tuple[BootKey, Ledger]]:
    """The ledgers of these traps' boots that lost something."""
    if traps:
        some = sa.cast(_B.lost, sa.Text) != "[]"
        yield from list(_read(connection, is_one_of(connection, (_B.tenant, _B.trap), traps), some))


def carry_on(connection: sa.Connection, ledgers: dict[BootKey, Ledger], batch: Batch) -> dict[BootKey, Ledger]:
    """Enter what the batch stores, gives up and still holds; returns the ledgers after it.

    What is missing is asked for when nothing has filled it for two minutes: a trap that has just come back sends
    what it holds by itself.
    """
    after = dict(ledgers)
    for key, last in _held(batch):
        after[key] = after[key].with_known(last)
    for key, seqs in _stored(batch).items():
        after[key] = after[key].with_stored(seqs)
    for one in batch.given_up:
        _keep_losses(connection, one)
        for told in one.lost.ranges:
            key = (*_names(one.address), told.boot)
            after[key] = after[key].with_lost([(told.first, told.last)])
    changed = [_row(key, ledger, batch.newest_ms) for key, ledger in sorted(after.items()) if ledger != ledgers[key]]
    upsert(connection, schema.boots, changed)
    _put_off(connection, batch)
    return after


def take_requests(connection: sa.Connection, now_ms: int) -> list[Request]:
    """What to ask for now, of traps that are online; each thing at most once in ten minutes."""
    traps = schema.traps.c
    is_online = sa.and_(traps.tenant == _B.tenant, traps.trap == _B.trap, traps.state == "online")
    query = sa.select(_B.tenant, _B.trap, _B.boot, _B.missing).join(schema.traps, is_online)
    asked: dict[TrapAddress, list[AckRange]] = defaultdict(list)
    due = query.where(_B.ask_at_ms <= now_ms).order_by(_B.ask_at_ms)
    found = connection.execute(due.limit(MOST_TRAPS)).all()
    for tenant, trap, boot, missing in found:
        room = MOST_RANGES - len(asked[TrapAddress(tenant, trap)])
        ranges = [AckRange(boot=boot, first=first, last=last) for first, last in missing[:room]]
        asked[TrapAddress(tenant, trap)] += ranges
    keys = [(tenant, trap, boot) for tenant, trap, boot, _ in found]
    _ask_at(connection, is_one_of(connection, (_B.tenant, _B.trap, _B.boot), keys), now_ms + AGAIN_MS)
    return [Request(address, tuple(ranges)) for address, ranges in asked.items() if ranges]


def _read(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> Iterator[tuple[BootKey, Ledger]]:
    query = sa.select(_B.tenant, _B.trap, _B.boot, _B.last, _B.missing, _B.lost).where(*which)
    for tenant, trap, boot, last, missing, lost in connection.execute(query):
        yield (tenant, trap, boot), Ledger(last, _ranges(missing), _ranges(lost))


def _put_off(connection: sa.Connection, batch: Batch) -> None:
    """A trap that has just told what it holds is about to send it."""
    reborn = sorted({_names(one.address) for one in batch.sightings if one.birth is not None})
    if reborn:
        waiting = sa.and_(is_one_of(connection, (_B.tenant, _B.trap), reborn), _B.ask_at_ms.is_not(None))
        _ask_at(connection, waiting, batch.newest_ms + QUIET_MS)


def _ask_at(connection: sa.Connection, which: sa.ColumnElement[bool], moment_ms: int) -> None:
    connection.execute(sa.update(schema.boots).where(which).values(ask_at_ms=moment_ms))


def _keep_losses(connection: sa.Connection, one: GivenUp) -> None:
    """A trap repeats itself until it is acknowledged; what it says is kept once."""
    tenant, trap = _names(one.address)
    rows = [
        {"tenant": tenant, "trap": trap, "reason": one.lost.reason, "received_at_ms": one.received_at_ms}
        | told.model_dump()
        for told in one.lost.ranges
    ]
    connection.execute(insert(connection, schema.losses).on_conflict_do_nothing(), rows)


def _held(batch: Batch) -> list[tuple[BootKey, int]]:
    births = [(one.address, one.birth) for one in batch.sightings if one.birth is not None]
    return [((*_names(address), held.boot), held.last) for address, birth in births for held in birth.held]


def _stored(batch: Batch) -> dict[BootKey, list[int]]:
    seqs: dict[BootKey, list[int]] = defaultdict(list)
    for one in batch.windows:
        seqs[one.key[:3]].append(one.key[3])
    return seqs


def _row(key: BootKey, ledger: Ledger, now_ms: int) -> dict[str, object]:
    return {
        **dict(zip(("tenant", "trap", "boot"), key, strict=True)),
        "last": ledger.last,
        "missing": ledger.missing,
        "lost": ledger.lost,
        "ask_at_ms": now_ms + QUIET_MS if ledger.missing else None,
    }


def _names(address: TrapAddress) -> tuple[str, str]:
    return address.tenant, address.trap


def _ranges(stored: Iterable[Sequence[int]]) -> tuple[Range, ...]:
    return tuple((first, last) for first, last in stored)
