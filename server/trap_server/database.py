"""Opening the database, SQLite or PostgreSQL, its schema brought up to date under a lock."""

import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from importlib.resources import as_file, files
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from trap_contract.errors import ConfigError, StoreError

from trap_server import postgres, sqlite_file

VERSION_TABLE = "zancudo_version"
START_PATIENCE_S = 30.0
"""While another process makes or upgrades the tables. Where two change the journal SQLite does not wait at all."""
AGAIN_S = 0.1
FORMS = f"sqlite:///PATH.db or {postgres.DRIVER}://USER@HOST/DATABASE"


def open_database(url: str) -> sa.Engine:
    """Open for writing; create or upgrade the tables, alone, whoever else starts at the same time.

    Raises ConfigError for an address of another form, StoreError for a database that can't be used.
    """
    parsed = _parsed(url)
    deadline_s = time.monotonic() + START_PATIENCE_S
    while True:
        try:
            return _up_to_date(parsed)
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            if not sqlite_file.is_busy(error) or time.monotonic() > deadline_s:
                raise StoreError(f"database {_place(parsed)} can't be opened: {_cause(error)}") from error
        time.sleep(AGAIN_S)


def _up_to_date(parsed: sa.URL) -> sa.Engine:
    if parsed.drivername == postgres.DRIVER:
        engine = postgres.writing_engine(parsed)
    else:
        engine = sqlite_file.writing_engine(parsed, partial(_refuse_foreign, place=_place(parsed)))
    try:
        with engine.begin() as connection:  # both kinds of engine let in one writer at a time
            _migrate(connection, _place(parsed))
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_for_reading(url: str) -> sa.Engine:
    """Open what `open_database` made; every statement that writes is refused by the database itself.

    Raises StoreError when there is none, or it is not of this version.
    """
    parsed = _parsed(url)
    is_postgres = parsed.drivername == postgres.DRIVER
    engine = postgres.reading_engine(parsed) if is_postgres else sqlite_file.reading_engine(parsed)
    place = _place(parsed)
    try:
        with engine.begin() as connection:
            if _revision(connection, place) != _scripts().get_current_head():
                raise StoreError(f"database {place} is empty or of an older version; `trap-server ingest` upgrades it")
    except sa.exc.DBAPIError as error:
        raise StoreError(f"database {place} can't be read: {_cause(error)}") from error
    return engine


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError(f"the database's address is malformed: write {FORMS}") from error
    if parsed.drivername not in ("sqlite", postgres.DRIVER):
        raise ConfigError(f"the database's address must be {FORMS}")
    return parsed


def _place(url: sa.URL) -> str:
    """What an operator calls the database, without its password."""
    return url.database or "" if url.drivername == "sqlite" else str(url)


def _migrate(connection: sa.Connection, place: str) -> None:
    if _revision(connection, place) == _scripts().get_current_head():
        return
    with as_file(files("trap_server") / "migrations") as folder:
        configuration = Config()
        configuration.set_main_option("script_location", str(folder).replace("%", "%%"))
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")


def _scripts() -> ScriptDirectory:
    with as_file(files("trap_server") / "migrations") as folder:
        return ScriptDirectory(str(folder))


def _revision(connection: sa.Connection, place: str) -> str | None:
    """The schema's version, None for an empty database."""
    _refuse_foreign(sa.inspect(connection).get_table_names(), place)
    options: dict[str, Any] = {"version_table": VERSION_TABLE}
    revision = MigrationContext.configure(connection, opts=options).get_current_revision()
    try:
        _scripts().get_revision(revision or "base")
    except CommandError as error:
        raise StoreError(f"database {place} was written by a newer zancudo: upgrade this one") from error
    return revision


def _refuse_foreign(tables: Sequence[str], place: str) -> None:
    if tables and VERSION_TABLE not in tables:
        raise StoreError(f"{place} is not a zancudo database: choose another")


def _cause(error: Exception) -> str:
    return str(error.orig) if isinstance(error, sa.exc.DBAPIError) else str(error)
