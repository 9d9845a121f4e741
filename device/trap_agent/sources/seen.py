"""What a watched folder has shown, remembered through restarts and power cuts."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from trap_contract.errors import StoreError
from trap_contract.logs import log

_GONE_KEPT = 20_000
"""How many pictures that have left the folder are remembered: it may be a disk that is only unmounted."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS folders (folder TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS seen (folder TEXT, name TEXT, size INT, mtime_ns INT, PRIMARY KEY (folder, name))",
)


class Stamp(NamedTuple):
    """What changes when a file is written again: bytes, and nanoseconds of its last change."""

    size: int
    mtime_ns: int


class SeenPictures:
    """The pictures of one folder that were shown, each name with its last stamp.

    Raises StoreError when the file can't be used.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        self._folder = str(folder)
        self._problem = f"{file}: can't remember what was counted: check --state-dir"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", *_TABLES):
                self._connection.execute(statement)
            self.is_new = not self._query("SELECT 1 FROM folders WHERE folder = ?")
            rows = self._query("SELECT name, size, mtime_ns FROM seen WHERE folder = ? ORDER BY rowid")
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self._problem}: {error}") from error
        self._stamps = {name: Stamp(size, mtime_ns) for name, size, mtime_ns in rows}

    def has(self, name: str, stamp: Stamp) -> bool:
        """Whether this very picture was shown."""
        return self._stamps.get(name) == stamp

    def begin(self, there: Mapping[str, Stamp]) -> None:
        """Take these as shown: the first start's. Raises StoreError when that can't be stored."""
        try:
            self._connection.execute("BEGIN")
            self._connection.execute("INSERT INTO folders VALUES (?)", (self._folder,))
            for name, stamp in there.items():
                self._insert(name, stamp)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"{self._problem}: {error}") from error

    def add(self, name: str, stamp: Stamp) -> None:
        """Remember a picture before it is counted: a power cut may lose its count, never make two.

        Where that can't be stored, on a full disk, it is remembered until the restart only.
        """
        try:
            self._insert(name, stamp)
        except sqlite3.Error as error:
            log.warning("a counted picture is remembered until the restart only", picture=name, error=str(error))

    def prune(self, there: Mapping[str, Stamp]) -> None:
        """Forget those that left the folder longest ago, when they are too many."""
        if len(self._stamps) - len(there) < 2 * _GONE_KEPT:
            return
        gone = [name for name in self._stamps if name not in there]
        for name in gone[:-_GONE_KEPT]:
            del self._stamps[name]
        try:
            self._connection.executemany(
                "DELETE FROM seen WHERE folder = ? AND name = ?", [(self._folder, name) for name in gone[:-_GONE_KEPT]]
            )
        except sqlite3.Error as error:
            log.warning("pictures that are gone can't be forgotten", error=str(error))

    def _insert(self, name: str, stamp: Stamp) -> None:
        self._stamps.pop(name, None)
        self._stamps[name] = stamp
        self._connection.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", (self._folder, name, *stamp))

    def _query(self, statement: str) -> list[tuple[str, int, int]]:
        return self._connection.execute(statement, (self._folder,)).fetchall()
