"""Until when nothing of a trap is missing, for many traps in a few queries.

Read from the ledgers of the boots: a number is missing when a later one of its boot is stored, or when the trap said at
a connect that it holds it. What a trap gave up for good is lost, not missing: nothing more will come.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.answers import TrapState
from trap_server.bulk import chunks
from trap_server.newest import traps_with_newest

DAY_MS = 24 * 3600 * 1000

_B = schema.boots.c
_W = schema.windows.c

Key = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers `first` to `last` of one boot that are not stored yet."""

    tenant: str
    trap: str
    boot: str
    first: int
    last: int

    @property
    def before(self) -> Key:
        """The key of the window before it."""
        return self.tenant, self.trap, self.boot, self.first - 1

    @property
    def behind(self) -> Key:
        """The key of the window behind it."""
        return self.tenant, self.trap, self.boot, self.last + 1


def trap_states(
    connection: sa.Connection, now_ms: int, only: Collection[TrapAddress] | None = None
) -> dict[TrapAddress, TrapState]:
    """The part of each trap that can change without a window, of all traps or those of `only`."""
    records, newest = traps_with_newest(connection, now_ms, only)
    ends = {address: newest[address].end_ms if address in newest else None for address in records}
    complete = complete_to_ms(connection, ends, now_ms)
    return {
        address: TrapState(
            tenant=record.tenant,
            trap=record.trap,
            status=record.status(now_ms),
            last_seen_ms=record.last_seen_ms,
            complete_to_ms=complete[address],
        )
        for address, record in records.items()
    }


def complete_to_ms(
    connection: sa.Connection, newest_end_ms: dict[TrapAddress, int | None], now_ms: int
) -> dict[TrapAddress, int | None]:
    """By trap the moment before which no window of the last 24 hours is missing; None when that can't be said.

    `newest_end_ms` is when the trap's newest window ended, by trap; only these traps are looked at.
    """
    found = dict(newest_end_ms)
    holes = _holes(connection, found)
    times = _times(connection, {key for hole in holes for key in (hole.before, hole.behind)})
    for hole in holes:
        behind, before = times.get(hole.behind), times.get(hole.before)
        if behind is not None and behind[0] < now_ms - DAY_MS:
            continue
        address = TrapAddress(hole.tenant, hole.trap)
        whole, until = found[address], before[1] if before else None
        found[address] = None if whole is None or until is None else min(whole, until)
    return found


def _holes(connection: sa.Connection, addresses: Collection[TrapAddress]) -> list[Hole]:
    query = sa.select(_B.tenant, _B.trap, _B.boot, _B.missing).where(_B.ask_at_ms.is_not(None))
    return [
        Hole(tenant, trap, boot, first, last)
        for tenant, trap, boot, missing in connection.execute(query)
        if TrapAddress(tenant, trap) in addresses
        for first, last in missing
    ]


def _times(connection: sa.Connection, keys: Iterable[Key]) -> dict[Key, tuple[int, int]]:
    """Begin and end of the windows that are stored."""
    columns = (_W.tenant, _W.trap, _W.boot, _W.seq)
    found: dict[Key, tuple[int, int]] = {}
    for part in chunks(sorted(keys)):
        query = sa.select(*columns, _W.start_ms, _W.start_ms + _W.duration_ms).where(sa.tuple_(*columns).in_(part))
        found |= {(row[0], row[1], row[2], row[3]): (row[4], row[5]) for row in connection.execute(query)}
    return found
