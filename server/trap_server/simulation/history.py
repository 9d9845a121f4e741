"""Whether the database tells exactly what the traps said: the account of both sides, compared."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from trap_server import schema
from trap_server.gaps import Range, joined, without
from trap_server.simulation.trap import CLASSES, Boot, SimulatedTrap

BootKey = tuple[str, str, str]
FETCH = 5000
_W = schema.windows.c


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the database has of what was said, and every violation, which should be none."""

    said: int
    stored: int
    acknowledged: int
    given_up: int
    collisions: int
    violations: tuple[str, ...]


def compare(connection: sa.Connection, traps: Sequence[SimulatedTrap], *, settled: bool) -> Verdict:
    """Check that no acknowledged window is absent, none is there unsaid or altered, and the gaps are the true ones.

    With `settled`, when no trap holds anything any more, also that everything said is stored or given up.
    """
    claims: dict[BootKey, list[tuple[SimulatedTrap, Boot]]] = defaultdict(list)
    for trap in traps:
        for boot in trap.boots:
            claims[(trap.address.tenant, trap.address.trap, boot.name)].append((trap, boot))
    stored, violations = _stored(connection, claims)
    for key, claimed in claims.items():
        violations += _missing(key, claimed, stored[key], settled=settled)
    violations += _unlike_ledgers(connection, claims, stored)
    collided = list(_collided(connection, claims))
    return Verdict(
        said=sum(boot.last for boots in claims.values() for _, boot in boots),
        stored=sum(map(_size, stored.values())),
        acknowledged=sum(_size(boot.acknowledged) for boots in claims.values() for _, boot in boots),
        given_up=sum(_size(boot.given_up) for boots in claims.values() for _, boot in boots),
        collisions=len(collided),
        violations=tuple(violations + [told for told in collided if told]),
    )


def _stored(
    connection: sa.Connection, claims: dict[BootKey, list[tuple[SimulatedTrap, Boot]]]
) -> tuple[dict[BootKey, tuple[Range, ...]], list[str]]:
    """Which numbers of each boot are stored, and the rows that nobody said."""
    found: dict[BootKey, list[Range]] = defaultdict(list)
    violations = []
    query = sa.select(_W.tenant, _W.trap, _W.boot, _W.seq, _W.wall_ms, _W.duration_ms, _W.counts)
    rows = connection.execute(query.order_by(*(_W[name] for name in schema.KEY)).execution_options(yield_per=FETCH))
    for *key, seq, wall_ms, duration_ms, counts in rows:
        of_boot = found[(key[0], key[1], key[2])]
        if of_boot and of_boot[-1][1] >= seq:
            violations.append(f"{key} {seq} is stored twice")
        elif of_boot and of_boot[-1][1] == seq - 1:
            of_boot[-1] = (of_boot[-1][0], seq)
        else:
            of_boot.append((seq, seq))
        claimed = claims.get((key[0], key[1], key[2]), [])
        if not any(_is_said(trap, boot, seq, (wall_ms, duration_ms, counts)) for trap, boot in claimed):
            violations.append(f"{key} {seq} is stored as nobody said it")
    return {key: tuple(found.get(key, ())) for key in {*found, *claims}}, violations


def _is_said(trap: SimulatedTrap, boot: Boot, seq: int, row: tuple[int, int, dict[str, int] | None]) -> bool:
    counts = dict(zip(CLASSES, trap.counts(boot.name, seq), strict=True))
    said = (trap.wall_ms(boot, seq), trap.window_ms, counts)
    return seq <= boot.last and row == said


def _missing(
    key: BootKey, claimed: list[tuple[SimulatedTrap, Boot]], stored: tuple[Range, ...], *, settled: bool
) -> Iterator[str]:
    for _, boot in claimed:
        if absent := without(without(boot.acknowledged, stored), boot.given_up):
            yield f"{key} {absent} are acknowledged and not stored"
        if settled and (absent := without(without(((1, boot.last),), stored), boot.given_up)):
            yield f"{key} {absent} were said and are not stored"
        if settled and boot.held:
            yield f"{key} {boot.held} are still held"


def _unlike_ledgers(
    connection: sa.Connection,
    claims: dict[BootKey, list[tuple[SimulatedTrap, Boot]]],
    stored: dict[BootKey, tuple[Range, ...]],
) -> Iterator[str]:
    """The ledgers' gaps against those of the rows, and what they call lost against what was given up."""
    for row in connection.execute(sa.select(schema.boots)):
        key = (row.tenant, row.trap, row.boot)
        missing, lost = _ranges(row.missing), _ranges(row.lost)
        if joined([*missing, *lost]) != without(((1, row.last),) if row.last else (), stored.get(key, ())):
            yield f"{key}: the ledger's gaps {missing} {lost} to {row.last} are not those of the rows"
        given_up = joined(one for _, boot in claims.get(key, []) for one in boot.given_up)
        if unsaid := without(lost, given_up):
            yield f"{key}: {unsaid} are called lost, which the trap never said"


def _collided(connection: sa.Connection, claims: dict[BootKey, list[tuple[SimulatedTrap, Boot]]]) -> Iterator[str]:
    """A word for each collision that no two clones made, an empty one for each that they did."""
    c = schema.collisions.c
    for tenant, trap, boot, seq in connection.execute(sa.select(c.tenant, c.trap, c.boot, c.seq)):
        claimed = [one for _, one in claims.get((tenant, trap, boot), []) if seq <= one.last]
        yield "" if len(claimed) > 1 else f"{(tenant, trap, boot)} {seq} collided, though one trap has said it"


def _ranges(stored: Iterable[Sequence[int]]) -> tuple[Range, ...]:
    return tuple((first, last) for first, last in stored)


def _size(ranges: Iterable[Range]) -> int:
    return sum(last - first + 1 for first, last in ranges)
