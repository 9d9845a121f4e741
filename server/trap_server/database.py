"""Opening the database: SQLite set up to lose nothing, its schema brought up to date under a lock."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from trap_contract.errors import ConfigError, StoreError

VERSION_TABLE = "zancudo_version"
BUSY_TIMEOUT_S = 5.0
PRAGMAS = ("synchronous=FULL", "foreign_keys=ON")


def open_database(url: str) -> sa.Engine:
    """Open for writing; create or upgrade the tables, alone, whoever else starts at the same time.

    Raises ConfigError for an address of another form, StoreError for a database that can't be used.
    """
    path = _sqlite_path(url)
    if not path.parent.is_dir():
        raise StoreError(f"database {path}: there is no folder {path.parent}; create it first")
    engine = _engine(path, "BEGIN IMMEDIATE")
    try:
        _enter_wal(path)
        with engine.begin() as connection:
            _migrate(connection, path)
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        raise StoreError(f"database {path} can't be opened: {_cause(error)}") from error
    return engine


def open_for_reading(url: str) -> sa.Engine:
    """Open what `open_database` made; every statement that writes is refused by SQLite itself.

    Raises StoreError when there is none, or it is not of this version.
    """
    path = _sqlite_path(url)
    if not path.is_file():
        raise StoreError(f"database {path}: no such file; `trap-server ingest` creates it")
    engine = _engine(path, "BEGIN", "query_only=ON")
    try:
        with engine.begin() as connection:
            if _revision(connection, path) != _scripts().get_current_head():
                raise StoreError(f"database {path} is of an older version; `trap-server ingest` upgrades it")
    except sa.exc.DBAPIError as error:
        raise StoreError(f"database {path} can't be read: {_cause(error)}") from error
    return engine


def _sqlite_path(url: str) -> Path:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError("the database's address is malformed: write sqlite:///PATH.db") from error
    if parsed.drivername != "sqlite" or not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise ConfigError("the database's address must be sqlite:///PATH.db: a file, with nothing after it")
    return Path(parsed.database)


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
        connection.exec_driver_sql(begin)

    return engine


def _enter_wal(path: Path) -> None:
    """Switch the file to write-ahead logging; it stays so. Nothing is written to a foreign file."""
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
        _refuse_foreign([name for (name,) in connection.execute("SELECT name FROM sqlite_master")], path)
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode=WAL")


def _migrate(connection: sa.Connection, path: Path) -> None:
    if _revision(connection, path) == _scripts().get_current_head():
        return
    with as_file(files("trap_server") / "migrations") as folder:
        configuration = Config()
        configuration.set_main_option("script_location", str(folder).replace("%", "%%"))
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")


def _scripts() -> ScriptDirectory:
    with as_file(files("trap_server") / "migrations") as folder:
        return ScriptDirectory(str(folder))


def _revision(connection: sa.Connection, path: Path) -> str | None:
    """The schema's version, None for an empty database."""
    _refuse_foreign(sa.inspect(connection).get_table_names(), path)
    options: dict[str, Any] = {"version_table": VERSION_TABLE}
    revision = MigrationContext.configure(connection, opts=options).get_current_revision()
    try:
        _scripts().get_revision(revision or "base")
    except CommandError as error:
        raise StoreError(f"database {path} was written by a newer zancudo: upgrade this one") from error
    return revision


def _refuse_foreign(tables: Sequence[str], path: Path) -> None:
    if tables and VERSION_TABLE not in tables:
        raise StoreError(f"{path} is not a zancudo database: choose another file")


def _cause(error: Exception) -> str:
    return str(error.orig) if isinstance(error, sa.exc.DBAPIError) else str(error)
