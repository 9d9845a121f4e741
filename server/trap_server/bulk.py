"""Many rows in one statement, in the dialect of the database."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

INSERTS: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
MOST_KEYS = 500  # a statement takes some ten thousand parameters
BLOCKS = (256, 32, 4, 1)  # rows of one SQLite statement: other threads run while it does, and are not asked for each row

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
        return _copy_new(connection, table, columns, rows)
    stored, at = 0, 0
    for size in BLOCKS:
        while len(rows) - at >= size:
            values = tuple(chain.from_iterable(rows[at : at + size]))
            stored += connection.exec_driver_sql(_plain(table, columns, size), values).rowcount
            at += size
    return stored


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
def _plain(table: sa.Table, columns: tuple[str, ...], rows: int) -> str:
    marks = f"({', '.join('?' for _ in columns)})"
    values = ", ".join(marks for _ in range(rows))
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608


def _copy_new(
    connection: sa.Connection, table: sa.Table, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> int:
    """COPY is the fastest way in, but knows no conflicts: so by way of a table of this connection alone."""
    names, incoming = ", ".join(columns), f"incoming_{table.name}"
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE IF NOT EXISTS {incoming} ON COMMIT DELETE ROWS AS SELECT {names} FROM {table.name} LIMIT 0"  # noqa: S608
    )
    with connection.connection.cursor() as cursor:
        with cursor.copy(f"COPY {incoming} ({names}) FROM STDIN") as copy:  # type: ignore[attr-defined]
            for row in rows:
                copy.write_row(row)
        cursor.execute(f"INSERT INTO {table.name} ({names}) SELECT * FROM {incoming} ON CONFLICT DO NOTHING")  # noqa: S608
        return int(cursor.rowcount)
