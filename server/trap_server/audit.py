"""What is stored of every boot, and what is missing: the account that `trap-server check` gives."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from trap_server import schema
from trap_server.gaps import Ledger, without


@dataclass(frozen=True, slots=True)
class BootAccount:
    """One boot of one trap; `missing` are ranges, both ends included, between 1 and `last`."""

    tenant: str
    trap: str
    boot: str
    stored: int
    first: int
    last: int
    missing: tuple[tuple[int, int], ...]
    collisions: int


@dataclass(frozen=True, slots=True)
class Account:
    """Everything in the database, counted from the rows themselves."""

    boots: tuple[BootAccount, ...]
    stored: int
    missing: int
    collisions: int
    quarantined: int
    """Messages, however often each came; those without a readable trap only when no trap is asked for."""


def take_account(connection: sa.Connection, trap: str | None) -> Account:
    """Count what is stored of every trap, or of those named `trap`."""
    collisions, ledgers = _collisions(connection), _sealed_ledgers(connection)
    boots = []
    for (tenant, name, boot), seqs in _seqs(connection, trap):
        aged_out = ledgers.get((tenant, name, boot), Ledger()).stored()
        missing = without(tuple(missing_ranges(seqs)), aged_out)  # of which no word says that they were stored once
        account = BootAccount(
            tenant, name, boot, len(seqs), seqs[0], seqs[-1], missing, collisions[(tenant, name, boot)]
        )
        boots.append(account)
    return Account(
        boots=tuple(boots),
        stored=sum(boot.stored for boot in boots),
        missing=sum(last - first + 1 for boot in boots for first, last in boot.missing),
        collisions=sum(boot.collisions for boot in boots),
        quarantined=_quarantined(connection, trap),
    )


def missing_ranges(seqs: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ranges that ascending numbers leave out, counting from 1."""
    expected = 1
    for seq in seqs:
        if seq > expected:
            yield expected, seq - 1
        expected = seq + 1


def _seqs(connection: sa.Connection, trap: str | None) -> Iterator[tuple[tuple[str, str, str], list[int]]]:
    c = schema.windows.c
    query = sa.select(c.tenant, c.trap, c.boot, c.seq).order_by(*(c[name] for name in schema.KEY))
    if trap is not None:
        query = query.where(c.trap == trap)
    seqs: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for tenant, name, boot, seq in connection.execute(query):
        seqs[(tenant, name, boot)].append(seq)
    yield from seqs.items()


def _sealed_ledgers(connection: sa.Connection) -> dict[tuple[str, str, str], Ledger]:
    """The ledgers of traps whose windows were aged out; of all others the rows alone tell."""
    b, h = schema.boots.c, schema.hours.c
    sealed = sa.select(h.trap).where(h.tenant == b.tenant, h.trap == b.trap, h.sealed).exists()
    query = sa.select(b.tenant, b.trap, b.boot, b.last, b.missing, b.lost).where(sealed)
    return {
        (tenant, trap, boot): Ledger(last, tuple(map(tuple, missing)), tuple(map(tuple, lost)))
        for tenant, trap, boot, last, missing, lost in connection.execute(query)
    }


def _collisions(connection: sa.Connection) -> defaultdict[tuple[str, str, str], int]:
    c = schema.collisions.c
    query = sa.select(c.tenant, c.trap, c.boot, sa.func.count()).group_by(c.tenant, c.trap, c.boot)
    found: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for tenant, trap, boot, count in connection.execute(query):
        found[(tenant, trap, boot)] = count
    return found


def _quarantined(connection: sa.Connection, trap: str | None) -> int:
    c = schema.quarantine.c
    query = sa.select(sa.func.coalesce(sa.func.sum(c.times), 0))
    return int(connection.execute(query if trap is None else query.where(c.trap == trap)).scalar_one())
