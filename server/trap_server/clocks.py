"""The clocks of the kernel boots that a batch touches: read, carried on, and what they repair written back."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from trap_server import schema
from trap_server.bulk import is_one_of, upsert
from trap_server.repair import KernelBoot, Pair, Reading, Start, trusted
from trap_server.rollups.building import HOUR_MS
from trap_server.sorting import OfferedWindow

ClockKey = tuple[str, str, str]
"""Tenant, trap, kernel boot."""

_W = schema.windows.c
_NAMES = ("tenant", "trap", "kernel_boot")


class Clocks:
    """The clocks of one batch, within its transaction."""

    def __init__(self, connection: sa.Connection, offered: Iterable[OfferedWindow]) -> None:
        readings: dict[ClockKey, list[Reading]] = defaultdict(list)
        for one in offered:
            if one.window.kernel_boot:
                readings[_key(one)].append(_reading(one))
        self._connection = connection
        self.moved: set[tuple[str, str, int]] = set()
        """Tenant, trap and hour of windows that were dated anew, of the old date and of the new."""
        self._before = _read(connection, sorted(readings))
        self._after = {key: self._before[key].after(found) for key, found in readings.items()}

    def start(self, one: OfferedWindow) -> Start:
        """When a window of the batch began; one that does not name its kernel boot stands alone."""
        window = one.window
        if window.clock.synced:
            return trusted(window.wall_ms)
        clock = self._after[_key(one)] if window.kernel_boot else KernelBoot().after([_reading(one)])
        return clock.start(window.mono_ms, window.wall_ms, synced=False)

    def keep(self) -> None:
        """Write what is known now, and repair the windows that are stored already."""
        changed = {key: clock for key, clock in self._after.items() if clock != self._before[key]}
        upsert(self._connection, schema.clocks, [_row(key, clock) for key, clock in sorted(changed.items())])
        for key, clock in changed.items():
            if clock.unsynced:
                self._repair(key, clock)

    def _repair(self, key: ClockKey, clock: KernelBoot) -> None:
        which = [_W[name] == value for name, value in zip(_NAMES, key, strict=True)]
        first = self._before[key].first
        if first is not None and first == clock.first:  # before the first anchor nothing changes
            which.append(_W.mono_ms > first[0])
        query = sa.select(_W.id, _W.mono_ms, _W.wall_ms, _W.start_ms, _W.clock_method, _W.clock_error_ms)
        repaired = []
        for row_id, mono_ms, wall_ms, *stored in self._connection.execute(query.where(*which, ~_W.clock_synced)):
            start = clock.start(mono_ms, wall_ms, synced=False)
            if start != Start(*stored):
                self.moved |= {(*key[:2], ms - ms % HOUR_MS) for ms in (stored[0], start.start_ms)}
                repaired.append({"row": row_id, "start": start.start_ms, "how": start.method, "error": start.error_ms})
        if repaired:
            values: dict[str, sa.BindParameter[Any]] = {name: sa.bindparam(given) for name, given in _REPAIRED.items()}
            statement = sa.update(schema.windows).where(_W.id == sa.bindparam("row")).values(values)
            self._connection.execute(statement, repaired)


_REPAIRED = {"start_ms": "start", "clock_method": "how", "clock_error_ms": "error"}


def _key(one: OfferedWindow) -> ClockKey:
    return one.address.tenant, one.address.trap, one.window.kernel_boot


def _reading(one: OfferedWindow) -> Reading:
    window = one.window
    return Reading(
        window.mono_ms, window.wall_ms, window.duration_ms, window.clock.synced, one.received_at_ms, one.backlog
    )


def _read(connection: sa.Connection, keys: list[ClockKey]) -> dict[ClockKey, KernelBoot]:
    found = dict.fromkeys(keys, KernelBoot())
    c = schema.clocks.c
    query = sa.select(schema.clocks).where(is_one_of(connection, (c.tenant, c.trap, c.kernel_boot), keys))
    for row in connection.execute(query):
        found[(row.tenant, row.trap, row.kernel_boot)] = KernelBoot(
            first=_pair(row.first_mono_ms, row.first_wall_ms),
            last=_pair(row.last_mono_ms, row.last_wall_ms),
            latest_ms=row.latest_ms,
            earliest_ms=row.earliest_ms,
            live=row.live,
            unsynced=row.unsynced,
        )
    return found


def _pair(mono_ms: int | None, wall_ms: int | None) -> Pair | None:
    return None if mono_ms is None or wall_ms is None else (mono_ms, wall_ms)


def _row(key: ClockKey, clock: KernelBoot) -> dict[str, object]:
    first, last = clock.first or (None, None), clock.last or (None, None)
    return {
        **dict(zip(_NAMES, key, strict=True)),
        "first_mono_ms": first[0],
        "first_wall_ms": first[1],
        "last_mono_ms": last[0],
        "last_wall_ms": last[1],
        "latest_ms": clock.latest_ms,
        "earliest_ms": clock.earliest_ms,
        "live": clock.live,
        "unsynced": clock.unsynced,
    }
