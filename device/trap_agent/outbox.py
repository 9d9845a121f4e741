"""The outbox: closed windows on disk until the collector says that it has committed them.

One SQLite file a trap, written with WAL and synchronous=FULL. A row leaves it in two ways only: the collector
acknowledged it, or it was given up, being the oldest in a full outbox or damaged. Both are counted per boot, so that
issued = acknowledged + dropped + held, always; what was given up stays noted until the collector knows it.

On a disk that is full or read-only at the start the outbox lies in memory, and moves to the file, behind what is there,
as soon as the disk takes it: meanwhile the trap counts and delivers, and a power cut costs what is not acknowledged.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from trap_contract.errors import ConfigError, MessageError, StoreError, ZancudoError
from trap_contract.logs import log
from trap_contract.messages import AckRange, LossReason, Window, parse_message
from trap_contract.settings import MOST_WINDOWS
from trap_contract.topics import TrapAddress

from trap_agent import losses
from trap_agent.losses import Loss
from trap_agent.windows import Draft

Key = tuple[str, int]
"""(boot, seq) of a window."""

FILE_NAME: Final = "outbox.sqlite"
MOST_IN_MEMORY: Final = 1440
"""Windows: a day of one a minute."""
LEAST_FREE_BYTES: Final = 1_000_000
"""A disk with less free space than this is full."""

_DROPS_PER_LINE = 100
_SCHEMA_VERSION = 2
_SCHEMA = (
    "CREATE TABLE owner (tenant TEXT NOT NULL, trap TEXT NOT NULL)",
    """CREATE TABLE boots (
    boot TEXT PRIMARY KEY, started_ms INTEGER NOT NULL,
    issued INTEGER NOT NULL DEFAULT 0, acknowledged INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE windows (
    place INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL REFERENCES boots, seq INTEGER NOT NULL,
    body TEXT NOT NULL, UNIQUE (boot, seq))""",
    losses.TABLE,
)
_HELD_RANGES = """
SELECT boot, MIN(seq), MAX(seq) FROM (
    SELECT boot, seq, seq - ROW_NUMBER() OVER (PARTITION BY boot ORDER BY seq) AS island FROM windows
) GROUP BY boot, island ORDER BY MIN(seq) LIMIT ?
"""
_ACCOUNT = """
SELECT boot, started_ms, issued, acknowledged, dropped,
    (SELECT COUNT(*) FROM windows WHERE windows.boot = boots.boot) AS pending
FROM boots ORDER BY rowid
"""


class Outbox:
    """The outbox of one running agent; safe to use from several threads.

    Every method raises StoreError when the file can't be read or written, and then has changed nothing.
    """

    def __init__(
        self, folder: Path, address: TrapAddress, boot: str, started_ms: int, limit: int = MOST_WINDOWS
    ) -> None:
        """Open or create the outbox in `folder`, in memory if the disk takes nothing, and begin a boot.

        Raises StoreError when it can't be used, another agent uses it, or it belongs to another trap (ConfigError).
        """
        self.boot = boot
        self._path = folder / FILE_NAME
        self._address = address
        self._limit = limit
        self._noted_drops = 0
        self._mutex = threading.Lock()
        self._lock_file: TextIO | None = None
        begin = partial(_begin, boot, started_ms)
        try:
            self._lock_file, self._connection = _opened(self._path, address, begin)
        except StoreError as error:
            if not takes_nothing(folder):
                raise
            log.error("the disk takes nothing: windows are kept in memory until it does", error=str(error))
            self._connection = _connect(":memory:", address)
            begin(self._connection)
        self.is_on_disk = self._lock_file is not None
        """Whether a power cut would leave the last window that was stored."""
        self._held = _count(self._connection)

    def store(self, draft: Draft) -> Window:
        """Give a draft the next number of this boot and keep it; both or neither happen."""
        with self._mutex:
            self._move_to_disk()
            most = min(self._limit, MOST_IN_MEMORY) if self._lock_file is None else self._limit
            excess = max(0, self._held + 1 - most)
            try:
                window = self._insert(draft, excess)
            except StoreError:
                self.is_on_disk = False
                raise
            self.is_on_disk = self._lock_file is not None
            self._held += 1 - excess
        self._note_drop(excess)
        return window

    def acknowledge(self, ranges: Sequence[AckRange]) -> int:
        """Delete the windows and forget the losses that these ranges name; returns how many windows were held."""
        with self._mutex:
            with self._transaction() as connection:
                removed = sum(_settle(connection, part) for part in ranges)
            self._held -= removed
        return removed

    @property
    def held(self) -> int:
        """How many windows wait for an acknowledgement."""
        return self._held

    @property
    def dropped(self) -> int:
        """How many windows were ever given up."""
        with self._mutex, self._transaction() as connection:
            return int(connection.execute("SELECT SUM(dropped) FROM boots").fetchone()[0])

    def oldest(self, count: int) -> list[Key]:
        """Keys of the windows held longest, oldest first."""
        with self._mutex, self._transaction() as connection:
            return connection.execute("SELECT boot, seq FROM windows ORDER BY place LIMIT ?", (count,)).fetchall()

    def load(self, keys: Sequence[Key]) -> list[Window]:
        """The windows of these keys that are still held, in this order; a damaged one is given up, and counted."""
        query = "SELECT place, boot, seq, body FROM windows WHERE boot = ? AND seq = ?"
        with self._mutex:
            with self._transaction() as connection:
                rows = [row for key in keys for row in connection.execute(query, key)]
                parsed = [(place, boot, seq, self._parsed(body)) for place, boot, seq, body in rows]
                damaged = [(place, boot, seq) for place, boot, seq, window in parsed if window is None]
                _drop(connection, damaged, "outbox_damaged")
            self._held -= len(damaged)
        return [window for *_, window in parsed if window is not None]

    def requested(self, ranges: Sequence[AckRange], count: int) -> list[Key]:
        """Of the windows asked for, at most `count` that are held; of those that are not it notes why."""
        query = "SELECT boot, seq FROM windows WHERE boot = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
        keys: list[Key] = []
        with self._mutex, self._transaction() as connection:
            for part in ranges:
                keys += connection.execute(query, (part.boot, part.first, part.last, count - len(keys))).fetchall()
                losses.explain(connection, part, self.boot)
        return keys

    def losses(self, count: int) -> list[Loss]:
        """At most `count` ranges of windows that never come and that the collector has not acknowledged yet."""
        with self._mutex, self._transaction() as connection:
            return losses.noted(connection, count)

    def held_ranges(self, count: int) -> tuple[AckRange, ...]:
        """Which windows are held, as at most `count` ranges."""
        with self._mutex, self._transaction() as connection:
            rows = connection.execute(_HELD_RANGES, (count,)).fetchall()
        return tuple(AckRange(boot=boot, first=first, last=last) for boot, first, last in rows)

    def close(self) -> None:
        """Release the file. Raises StoreError when windows are lost with the memory they are in."""
        with self._mutex:
            self._move_to_disk()
            self._connection.close()
            if self._lock_file is not None:
                self._lock_file.close()
            elif self._held:
                raise StoreError(f"{self._path}: {self._held} windows could not be stored: free some space")

    def _insert(self, draft: Draft, excess: int) -> Window:
        with self._transaction() as connection:
            query = "UPDATE boots SET issued = issued + 1 WHERE boot = ? RETURNING issued"
            seq = connection.execute(query, (self.boot,)).fetchall()[0][0]
            window = draft(boot=self.boot, seq=seq)
            row = (self.boot, seq, window.model_dump_json())
            connection.execute("INSERT INTO windows (boot, seq, body) VALUES (?, ?, ?)", row)
            _drop_oldest(connection, excess)
        return window

    def _move_to_disk(self) -> None:
        """From memory, if it is there and the disk takes it."""
        if self._lock_file is not None:
            return
        try:
            opened = _opened(self._path, self._address, partial(_copy, self._connection))
        except (StoreError, ConfigError):
            return
        self._connection.close()
        self._lock_file, self._connection = opened
        self._held = _count(self._connection)
        log.info("the disk takes windows again, they have moved there", held=self._held)

    def _parsed(self, body: str) -> Window | None:
        try:
            return parse_message(Window, body.encode())
        except MessageError as error:
            log.error("stored window is damaged, given up", path=str(self._path), error=str(error), body=body)
            return None

    def _note_drop(self, count: int) -> None:
        if count and self._noted_drops % _DROPS_PER_LINE == 0:
            log.warning(
                "outbox full, the oldest windows are dropped", limit=self._limit, dropped=self._noted_drops + count
            )
        self._noted_drops += count

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _explained(self._path), self._connection:
            yield self._connection


def read_account(folder: Path) -> dict[str, object]:
    """What became of every window ever issued, per boot and in all; the agent may be running meanwhile.

    Raises StoreError when there is no outbox in the folder or it can't be read.
    """
    path = folder / FILE_NAME
    if not path.exists():
        raise StoreError(f"{path}: no outbox here: give --state-dir the folder that the agent was given")
    with _explained(path):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        owner = dict(connection.execute("SELECT tenant, trap FROM owner").fetchone())
        boots = [dict(row) for row in connection.execute(_ACCOUNT)]
        connection.close()
    sums = {name: sum(boot[name] for boot in boots) for name in ("issued", "acknowledged", "dropped", "pending")}
    return {**owner, **sums, "boots": boots}


def takes_nothing(folder: Path) -> bool:
    """Whether the disk under a folder, which need not exist, is full or read-only."""
    disk = os.statvfs(next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists()))
    return bool(disk.f_flag & os.ST_RDONLY) or disk.f_bavail * disk.f_frsize < LEAST_FREE_BYTES


def _opened(
    path: Path, address: TrapAddress, begin: Callable[[sqlite3.Connection], None]
) -> tuple[TextIO, sqlite3.Connection]:
    """The locked and opened file, begun in one step; or nothing is locked."""
    lock_file = _locked(path.parent)
    try:
        with _explained(path):
            connection = _connect(path, address)
            with connection:
                begin(connection)
    except ZancudoError:
        lock_file.close()
        raise
    return lock_file, connection


def _begin(boot: str, started_ms: int, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO boots (boot, started_ms) VALUES (?, ?)", (boot, started_ms))


_COPIED = {
    "boots": "boot, started_ms, issued, acknowledged, dropped",
    "windows": "boot, seq, body",
    "losses": "boot, first, last, reason",
}


def _copy(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    for table, columns in _COPIED.items():
        marks = ", ".join("?" for _ in columns.split(","))
        rows = source.execute(f"SELECT {columns} FROM {table} ORDER BY rowid")  # noqa: S608 - both are ours
        target.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COUNT(*) FROM windows").fetchone()[0])


def _connect(path: Path | str, address: TrapAddress) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        _create(connection, address)
    elif version == 1:
        _upgrade(connection)
    elif version != _SCHEMA_VERSION:
        raise StoreError(f"{path}: outbox version {version}, this agent reads {_SCHEMA_VERSION}: install a newer one")
    owner = connection.execute("SELECT tenant, trap FROM owner").fetchone()
    if owner != (address.tenant, address.trap):
        raise ConfigError(
            f"{path} holds the windows of trap {owner[1]!r}, tenant {owner[0]!r}: give that --trap and --tenant, "
            "or another --state-dir"
        )
    return connection


def _create(connection: sqlite3.Connection, address: TrapAddress) -> None:
    with connection:
        connection.execute("BEGIN")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO owner VALUES (?, ?)", (address.tenant, address.trap))
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


def _upgrade(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("BEGIN")
        connection.execute(losses.TABLE)
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


def _settle(connection: sqlite3.Connection, part: AckRange) -> int:
    query = "DELETE FROM windows WHERE boot = ? AND seq BETWEEN ? AND ?"
    count = connection.execute(query, (part.boot, part.first, part.last)).rowcount
    connection.execute("UPDATE boots SET acknowledged = acknowledged + ? WHERE boot = ?", (count, part.boot))
    losses.settle(connection, part)
    return count


def _drop_oldest(connection: sqlite3.Connection, count: int) -> None:
    query = "SELECT place, boot, seq FROM windows ORDER BY place LIMIT ?"
    _drop(connection, connection.execute(query, (count,)).fetchall(), "outbox_full")


def _drop(connection: sqlite3.Connection, rows: Sequence[tuple[int, str, int]], reason: LossReason) -> None:
    for place, boot, seq in rows:
        connection.execute("UPDATE boots SET dropped = dropped + 1 WHERE boot = ?", (boot,))
        connection.execute("DELETE FROM windows WHERE place = ?", (place,))
        losses.note(connection, boot, seq, seq, reason)


def _locked(folder: Path) -> TextIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "outbox.lock").open("w")
    except OSError as error:
        raise StoreError(f"{folder}: can't keep an outbox here: {error.strerror}: give another --state-dir") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreError(f"{folder}: another agent uses this outbox: stop it, or give another --state-dir") from error
    return file


_NEXT_STEPS = {
    "full": "free some space",
    "readonly": "make the folder writable, or give another --state-dir",
    "not a database": "move this file away, or give another --state-dir",
    "malformed": "move this file away to keep it for `sqlite3 .recover`, and start again",
    "disk i/o": "check the card and its space",
    "unable to open": "check that the folder exists and this user may write it",
}


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into a StoreError that names the file and the next step."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        step = next((step for sign, step in _NEXT_STEPS.items() if sign in text.lower()), "check the file")
        raise StoreError(f"{path}: {text}: {step}") from error
