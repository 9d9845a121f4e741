"""Many rows in one statement, in the dialect of the database."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

INSERTS: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
MOST_KEYS = 500  # a statement takes some ten thousand parameters

Item = TypeVar("Item")


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """The insert that knows ON CONFLICT."""
    return INSERTS[connection.dialect.name](table)


def insert_new(
    connection: sa.Connection, table: sa.Table, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> int:
    """Insert the rows that break no unique constraint; returns how many. Values are as the driver takes them."""
    if not rows:
        return 0
    if connection.dialect.name == "postgresql":
        return connection.exec_driver_sql(_unnest(table, columns), tuple(map(list, zip(*rows, strict=True)))).rowcount
    return connection.exec_driver_sql(_plain(table, columns), list(rows)).rowcount


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, or replace what their primary key has; all rows have the same columns."""
    if not rows:
        return
    statement = insert(connection, table)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), list(rows))


def chunks(items: Sequence[Item], size: int = MOST_KEYS) -> Iterator[Sequence[Item]]:
    """Parts of at most `size`, in order."""
    return (items[first : first + size] for first in range(0, len(items), size))


@cache
def _plain(table: sa.Table, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" for _ in columns)
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608


@cache
def _unnest(table: sa.Table, columns: tuple[str, ...]) -> str:
    """One array a column: the statement is the same for any number of rows."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    arrays = ", ".join(f"%s::{table.c[name].type.compile(dialect)}[]" for name in columns)
    return f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"  # noqa: S608
