"""Lost effort put where it was: among the stored windows of its boot.

A trap tells the numbers that it lost, not their times. A boot's numbers follow one another, so what is lost lies
between the nearest stored windows, and moves when these are dated anew. Where a boot has none it stays undated.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from trap_contract.messages import Semantics

from trap_server import schema
from trap_server.boots import BootKey, with_losses
from trap_server.bulk import chunks, is_one_of, upsert
from trap_server.gaps import Ledger, Neighbours, Range
from trap_server.rollups.building import CALENDAR_END_MS, HOUR_MS, HourKey, Lost, stretches

LONGEST_MS = 366 * 24 * HOUR_MS  # what one trap says must not make work without end
FINEST_MS = 1000
_E, _W = schema.lost_effort.c, schema.windows.c


@dataclass(frozen=True, slots=True)
class Beside:
    """The stored window next to lost ones."""

    seq: int
    start_ms: int
    duration_ms: int
    semantics: Semantics

    @property
    def end_ms(self) -> int:
        """Where it ends."""
        return self.start_ms + self.duration_ms


@dataclass(frozen=True, slots=True)
class Spread:
    """Lost effort in equal parts, which begin at equal distances from `start_ms` on."""

    start_ms: int
    end_ms: int
    parts: int
    effort_ms: int
    semantics: Semantics

    def between(self, first_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
        """Begin and effort of each part that begins there, in ms."""
        for part in range(self._first_from(first_ms), self._first_from(end_ms)):
            effort_ms = self.effort_ms * (part + 1) // self.parts - self.effort_ms * part // self.parts
            yield self.start_ms + (self.end_ms - self.start_ms) * part // self.parts, effort_ms

    def hours(self) -> range:
        """Begins of the hours that it touches."""
        return range(self.start_ms - self.start_ms % HOUR_MS, self.end_ms, HOUR_MS)

    def _first_from(self, moment_ms: int) -> int:
        """The first part that begins at this moment or later."""
        passed = -((self.start_ms - moment_ms) * self.parts // (self.end_ms - self.start_ms))
        return min(self.parts, max(0, passed))


def spread(lost: Range, before: Beside | None, after: Beside | None) -> Spread | None:
    """Numbers first to last, evenly among all between two stored windows, or next to the only one; None without any.

    A number takes a window's time at least: between the two the clock may have stepped.
    """
    one = before or after
    if one is None:
        return None
    step_ms = float(one.duration_ms)
    if before is not None and after is not None:
        step_ms = max(step_ms, (after.start_ms - before.end_ms) / (after.seq - before.seq - 1))
    seq, seq_ms = (one.seq, one.start_ms) if before is None else (one.seq + 1, one.end_ms)
    start_ms, end_ms = (round(seq_ms + (number - seq) * step_ms) for number in (lost[0], lost[1] + 1))
    if start_ms < 0 or end_ms > CALENDAR_END_MS or end_ms - start_ms > LONGEST_MS:
        return None
    numbers = lost[1] + 1 - lost[0]
    parts = min(numbers, -(-(end_ms - start_ms) // FINEST_MS))
    return Spread(start_ms, end_ms, parts, numbers * one.duration_ms, one.semantics)


def place(
    connection: sa.Connection,
    before: Mapping[BootKey, Ledger],
    after: Mapping[BootKey, Ledger],
    redated: Iterable[tuple[str, str]] = (),
) -> set[HourKey]:
    """Date what these ledgers lost, or lost between other windows than before; and all of traps dated anew.

    Windows and the ledgers after are in the database. Returns the hours whose lost effort may have changed.
    """
    hours: set[HourKey] = set()
    for key, ledger in after.items():
        known, told = before[key].beside_lost(), ledger.beside_lost()
        news = {lost: beside for lost, beside in told.items() if known.get(lost) != beside}
        hours |= _place(connection, key, news, known.keys() - told.keys())
    for key, ledger in with_losses(connection, sorted(set(redated))):
        hours |= _place(connection, key, ledger.beside_lost(), set())
    return hours


def place_all(connection: sa.Connection) -> set[HourKey]:
    """Date everything that was lost; returns the hours that it touches."""
    traps = connection.execute(sa.select(schema.boots.c.tenant, schema.boots.c.trap).distinct())
    place(connection, {}, {}, [(tenant, trap) for tenant, trap in traps])
    placed = connection.execute(sa.select(_E.tenant, _E.trap, *_SPREAD))
    return {(tenant, trap, hour_ms) for tenant, trap, *found in placed for hour_ms in Spread(*found).hours()}


def lost_in(connection: sa.Connection, hours: Sequence[HourKey]) -> Iterator[Lost]:
    """The lost effort of these hours."""
    spreads: dict[tuple[str, str], list[Spread]] = defaultdict(list)
    of_traps = is_one_of(connection, (_E.tenant, _E.trap), sorted({hour[:2] for hour in hours}))
    for tenant, trap, *found in connection.execute(sa.select(_E.tenant, _E.trap, *_SPREAD).where(of_traps)):
        spreads[tenant, trap].append(Spread(*found))
    for tenant, trap, first_ms, end_ms in stretches(hours):
        for one in spreads[tenant, trap]:
            for start_ms, lost_ms in one.between(first_ms, end_ms):
                yield Lost(tenant, trap, start_ms, one.semantics, lost_ms)


_SPREAD = (_E.start_ms, _E.end_ms, _E.parts, _E.effort_ms, _E.semantics)


def _place(
    connection: sa.Connection, key: BootKey, news: Mapping[Range, Neighbours], gone: Iterable[Range]
) -> set[HourKey]:
    """Write where the `news` of one boot are, between the numbers of stored windows; forget what is `gone`."""
    if not news and not gone:
        return set()
    old = _known(connection, key)
    windows = _windows(connection, key, {seq for beside in news.values() for seq in beside if seq is not None})
    new = {
        lost: spread(lost, windows.get(below), windows.get(above))
        for lost, (below, above) in news.items()
        if lost not in old or below in windows or above in windows  # else retention took both, and it stays
    }
    dropped = [lost for lost in old if lost in gone or (lost in new and new[lost] is None)]
    for part in chunks(dropped):
        which = _E.first.in_([first for first, _ in part])
        connection.execute(sa.delete(schema.lost_effort).where(*_of(_E, key), which))
    placed = {lost: found for lost, found in new.items() if found is not None and found != old.get(lost)}
    upsert(connection, schema.lost_effort, [_row(key, lost, found) for lost, found in sorted(placed.items())])
    touched = [*placed.values(), *(old[lost] for lost in old if lost in placed or lost in dropped)]
    return {(*key[:2], hour_ms) for one in touched for hour_ms in one.hours()}


def _known(connection: sa.Connection, key: BootKey) -> dict[Range, Spread]:
    rows = connection.execute(sa.select(_E.first, _E.last, *_SPREAD).where(*_of(_E, key)))
    return {(first, last): Spread(*spread_) for first, last, *spread_ in rows}


def _windows(connection: sa.Connection, key: BootKey, seqs: Iterable[int]) -> dict[int | None, Beside]:
    query = sa.select(_W.seq, _W.start_ms, _W.duration_ms, _W.semantics).where(*_of(_W, key))
    rows = [row for part in chunks(sorted(seqs)) for row in connection.execute(query.where(_W.seq.in_(part)))]
    return {row.seq: Beside(*row) for row in rows}


def _row(key: BootKey, lost: Range, found: Spread) -> dict[str, Any]:
    names = dict(zip(("tenant", "trap", "boot", "first", "last"), (*key, *lost), strict=True))
    return names | asdict(found)


def _of(columns: Any, key: BootKey) -> Iterator[sa.ColumnElement[bool]]:
    return (columns[name] == value for name, value in zip(("tenant", "trap", "boot"), key, strict=True))
