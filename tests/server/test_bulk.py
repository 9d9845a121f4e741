"""Many rows in one statement, on both databases."""

import pytest
import sqlalchemy as sa
from trap_server import schema
from trap_server.bulk import insert_new, upsert

KEY = ("tenant", "trap", "hour_ms")


def boot(last: int) -> dict[str, object]:
    return {"tenant": "t", "trap": "a", "boot": "b", "last": last, "missing": [], "lost": [], "ask_at_ms": None}


def test_rows_replaced_twice_in_one_transaction_are_as_they_were_said_last(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        upsert(connection, schema.boots, [boot(1)])
        upsert(connection, schema.boots, [boot(2), boot(3) | {"trap": "b"}])
        found = connection.execute(sa.select(schema.boots.c.last).order_by(schema.boots.c.trap)).scalars().all()
    assert found == [2, 3]


def test_only_rows_that_were_not_there_are_counted_as_inserted(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        assert insert_new(connection, schema.stale_hours, KEY, [("t", "a", 0), ("t", "a", 1)]) == 2
        assert insert_new(connection, schema.stale_hours, KEY, [("t", "a", 1), ("t", "a", 2)]) == 1


def test_what_the_database_refuses_is_one_kind_of_error(engine: sa.Engine) -> None:
    with pytest.raises(sa.exc.DBAPIError), engine.begin() as connection:
        insert_new(connection, schema.stale_hours, KEY, [("t", None, 0)])
