"""Many rows in one statement, in the dialect of the database."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

INSERTS: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
MOST_KEYS = 500  # a statement takes some ten thousand parameters
BLOCKS = (256, 32, 4, 1)
"""Rows of one SQLite statement: other threads run while it does, and are not asked for each row."""

NOTHING = "ON CONFLICT DO NOTHING"

Item = TypeVar("Item")


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """The insert that knows ON CONFLICT."""
    return INSERTS[connection.dialect.name](table)


def insert_new(
    connection: sa.Connection, table: sa.Table, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> int:
    """Insert the rows that break no unique constraint; returns how many. Values are as the driver takes them."""
    return _put(connection, table, columns, rows, NOTHING)


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, or replace what their primary key has; all rows have the same columns, keys differ."""
    if not rows:
        return
    columns = tuple(rows[0])
    coded = [name for name in columns if isinstance(table.c[name].type, sa.JSON)]
    values = [tuple((row | {name: _json(row[name]) for name in coded}).values()) for row in rows]
    _put(connection, table, columns, values, _replacing(table, columns))


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value)


def is_one_of(
    connection: sa.Connection, columns: Sequence[sa.Column[str]], keys: Sequence[Sequence[str]]
) -> sa.ColumnElement[bool]:
    """Whether the columns together are one of the keys: one statement and one parameter for any number of keys."""
    places = range(len(columns))
    if connection.dialect.name == "postgresql":
        arrays = [sa.bindparam(None, [key[at] for key in keys], sa.ARRAY(sa.Text), unique=True) for at in places]
        wanted = sa.select(sa.func.unnest(*arrays).table_valued(*(f"k{at}" for at in places)).render_derived())
    else:
        each = sa.func.json_each(json.dumps(keys)).table_valued("value", name="each")
        wanted = sa.select(*(sa.func.json_extract(each.c.value, sa.literal_column(f"'$[{at}]'")) for at in places))
    return sa.tuple_(*columns).in_(wanted)


def blocks(rows: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Parts of few sizes, in order: a statement for each size is prepared once."""
    at = 0
    for size in BLOCKS:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


def chunks(items: Sequence[Item], size: int = MOST_KEYS) -> Iterator[Sequence[Item]]:
    """Parts of at most `size`, in order."""
    return (items[first : first + size] for first in range(0, len(items), size))


def _put(
    connection: sa.Connection,
    table: sa.Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[object, ...]],
    on_conflict: str,
) -> int:
    if not rows:
        return 0
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns, rows)
        return connection.exec_driver_sql(_moving(table, columns, on_conflict)).rowcount
    stored = 0
    for part in blocks(rows):
        statement = f"{_inserting(table, columns, len(part))} {on_conflict}"
        stored += connection.exec_driver_sql(statement, tuple(chain.from_iterable(part))).rowcount
    return stored


@cache
def _inserting(table: sa.Table, columns: tuple[str, ...], rows: int) -> str:
    values = f"({', '.join('?' for _ in columns)})"
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join(values for _ in range(rows))}"  # noqa: S608


@cache
def _replacing(table: sa.Table, columns: tuple[str, ...]) -> str:
    key = [column.name for column in table.primary_key]
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    return f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changed}"


@cache
def _moving(table: sa.Table, columns: tuple[str, ...], on_conflict: str) -> str:
    names, incoming = ", ".join(columns), _incoming(table)
    # Rows of an earlier call in this transaction conflict with what they became: ignored by those who do nothing.
    taken = f"SELECT {names} FROM {incoming}" if on_conflict == NOTHING else f"DELETE FROM {incoming} RETURNING {names}"  # noqa: S608
    return f"WITH taken AS ({taken}) INSERT INTO {table.name} ({names}) SELECT {names} FROM taken {on_conflict}"  # noqa: S608


def _copy(
    connection: sa.Connection, table: sa.Table, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> None:
    """COPY is the fastest way in, but knows no conflicts: so into a table of this connection alone.

    Raises sa.exc.DBAPIError, as statements of SQLAlchemy do.
    """
    names, incoming = ", ".join(columns), _incoming(table)
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE IF NOT EXISTS {incoming} ON COMMIT DELETE ROWS AS SELECT {names} FROM {table.name} LIMIT 0"  # noqa: S608
    )
    statement, dialect = f"COPY {incoming} ({names}) FROM STDIN", cast(Any, connection.dialect)
    raw: Any = connection.connection.driver_connection
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except dialect.loaded_dbapi.Error as error:
        kind = dialect.loaded_dbapi.Error
        raise sa.exc.DBAPIError.instance(statement, None, error, kind, dialect=dialect) from error


def _incoming(table: sa.Table) -> str:
    return f"incoming_{table.name}"
