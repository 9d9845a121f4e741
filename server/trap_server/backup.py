"""Backup and restore. A backup is a SQLite database, whatever the collector's own is: `check` and `export` read it as
it is, and it goes back into either kind, so that a laptop's counts move to a country's PostgreSQL.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from trap_contract.errors import StoreError

from trap_server import schema
from trap_server.database import VERSION_TABLE, open_database, open_for_reading

FETCH = 2000
Follow = Callable[[float], None]
"""Told the share that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Copied:
    """Where a copy is, and how many rows each table has in it."""

    place: str
    rows: dict[str, int]


def back_up(url: str, out: Path, follow: Follow) -> Copied:
    """Copy the database as it is at one moment, while collectors write on; `out` is there only when it is complete.

    Raises StoreError for a database that can't be read or an `out` that can't be written or is there already.
    """
    engine = open_for_reading(url)
    with _published(out) as part:
        if engine.dialect.name == "sqlite":
            _copy_file(Path(engine.url.database or ""), part, follow)
        else:
            copy = open_database(f"sqlite:///{part}")
            with engine.begin() as source, copy.begin() as target:
                _copy_rows(source, target, follow)
            copy.dispose()
        rows = _verified(part)
    return Copied(str(out), rows)


def restore(backup: Path, url: str, follow: Follow) -> Copied:
    """Fill an empty database from a backup, of this version or an older one.

    Raises StoreError for a file that is no backup or is damaged, or a database that has something in it.
    """
    if not backup.is_file():
        raise StoreError(f"backup {backup}: no such file")
    if sa.make_url(url).drivername == "sqlite":
        with _published(Path(sa.make_url(url).database or "")) as part:
            _copy_file(backup, part, follow)
            open_database(f"sqlite:///{part}").dispose()
            return Copied(url, _verified(part))
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "backup.db"
        _copy_file(backup, part, lambda _done: None)
        source, target = open_database(f"sqlite:///{part}"), open_database(url)
        rows = _verified(part)
        with source.begin() as old, target.begin() as new:
            _refuse_filled(new)
            _copy_rows(old, new, follow)
            _count_on(new)
        source.dispose()
        target.dispose()
    return Copied(str(sa.make_url(url)), rows)


@contextmanager
def _published(out: Path) -> Iterator[Path]:
    """A file beside `out`, readable by its owner alone, that takes its name when all went well."""
    if out.exists():
        raise StoreError(f"{out} is there already: choose another name, or take it away first")
    part = out.with_name(f".{out.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield part
        _empty_log(part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.rename(out)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{out} can't be written: {error}") from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{part}{suffix}").unlink(missing_ok=True)


def _empty_log(file: Path) -> None:
    """Everything into the one file."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy_file(source: Path, target: Path, follow: Follow) -> None:
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        try:
            old.backup(new, pages=4096, progress=lambda _state, left, all_: follow(1 - left / max(1, all_)))
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{source} can't be copied: {error}") from error
        if (VERSION_TABLE,) not in new.execute("SELECT name FROM sqlite_master").fetchall():
            raise StoreError(f"{source} is no backup: it has no tables of zancudo")


def _copy_rows(source: sa.Connection, target: sa.Connection, follow: Follow) -> None:
    tables = schema.metadata.sorted_tables
    total = sum(_size(source, table) for table in tables) or 1
    done = 0
    for table in tables:
        query = sa.select(table).order_by(*table.primary_key)
        for part in source.execute(query.execution_options(yield_per=FETCH)).mappings().partitions():
            target.execute(sa.insert(table), [dict(row) for row in part])
            done += len(part)
            follow(done / total)


def _count_on(connection: sa.Connection) -> None:
    """PostgreSQL's own numbers go on after those that were copied."""
    for table in schema.metadata.sorted_tables:
        if "id" in table.c and isinstance(table.c.id.type, sa.Integer):
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), (SELECT max(id) FROM {table.name}))"  # noqa: S608
            )


def _refuse_filled(connection: sa.Connection) -> None:
    for table in schema.metadata.sorted_tables:
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
            raise StoreError(f"the database has {table.name} already: restore into an empty one")


def _verified(file: Path) -> dict[str, int]:
    """Rows by table of a copy that reads well. Raises StoreError for a damaged one."""
    with closing(sqlite3.connect(file)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(f"the copy is damaged: {verdict}")
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise StoreError(f"the copy is not whole: {broken[0]} lacks what it refers to")
        count = "SELECT count(*) FROM {}"
        names = [table.name for table in schema.metadata.sorted_tables]
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        return {name: connection.execute(count.format(name)).fetchone()[0] for name in names if name in there}


def _size(connection: sa.Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
