"""SQLite, set up to lose nothing: write-ahead log, a sync at every commit, one writer at a time."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from trap_contract.errors import ConfigError, StoreError

from trap_server.turns import takes_turn

BUSY_TIMEOUT_S = 5.0
PRAGMAS = ("synchronous=FULL", "foreign_keys=ON")


def writing_engine(url: sa.URL, refuse_foreign: Callable[[Sequence[str]], None]) -> sa.Engine:
    """Create the file or enter it; `refuse_foreign` is shown its tables before anything is changed.

    Raises ConfigError, StoreError or sqlite3.Error.
    """
    path = _path(url)
    if not path.parent.is_dir():
        raise StoreError(f"database {path}: there is no folder {path.parent}; create it first")
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
        refuse_foreign([name for (name,) in connection.execute("SELECT name FROM sqlite_master")])
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode=WAL")
    return _engine(path, "BEGIN IMMEDIATE")


def reading_engine(url: sa.URL) -> sa.Engine:
    """Every statement that writes is refused by SQLite itself. Raises ConfigError or StoreError."""
    path = _path(url)
    if not path.is_file():
        raise StoreError(f"database {path}: no such file; `trap-server ingest` creates it")
    return _engine(path, "BEGIN", "query_only=ON")


def is_busy(error: Exception) -> bool:
    """Whether a failure only says that another process had the file."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY  # the low byte: others tell the kind


def _path(url: sa.URL) -> Path:
    if not url.database or url.database == ":memory:" or url.query:
        raise ConfigError("the database's address must be sqlite:///PATH.db: a file, with nothing after it")
    return Path(url.database)


def _engine(path: Path, begin: str, *more_pragmas: str) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True
    )

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy begins below; the driver must not begin by itself
        for pragma in (*PRAGMAS, *more_pragmas):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin if takes_turn(connection) else "BEGIN")

    return engine
