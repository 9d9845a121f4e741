"""One transaction a batch: once, all or nothing, and nothing refused is lost."""

import hashlib

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trap_contract.errors import StoreError
from trap_contract.messages import AckRange, Window
from trap_contract.topics import TrapAddress
from trap_server import schema
from trap_server.database import open_database
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import PAYLOAD_LIMIT, Committed, Heartbeat, Store

from server.running import rows
from server.traps import BOOT, make_batch, make_window

ADDRESS = TrapAddress("demo", "t1")


@pytest.fixture
def store(engine: sa.Engine) -> Store:
    store = Store(engine, "c")
    store.beat(Heartbeat(now_ms=1, connected=True))
    return store


def commit(store: Store, *windows: Window) -> Committed:
    return store.commit(sort_arrivals([Arrival("mt/v1/demo/t1/counts", make_batch(windows), False, 1000)]))


def test_a_redelivered_window_is_a_duplicate_and_is_acknowledged_again(store: Store, engine: sa.Engine):
    first = commit(store, make_window(1), make_window(2))
    again = commit(store, make_window(2), make_window(3))
    assert (first.stored, first.duplicates) == (2, 0)
    assert (again.stored, again.duplicates) == (1, 1)
    assert again.ranges == {ADDRESS: (AckRange(boot=BOOT, first=2, last=3),)}
    assert [row["seq"] for row in rows(engine, schema.windows)] == [1, 2, 3]


def test_a_collision_keeps_both_contents_and_is_acknowledged(store: Store, engine: sa.Engine):
    original, other = make_window(1, females=3), make_window(1, females=9)
    commit(store, original)
    for _ in range(2):
        collided = commit(store, other)
    assert (collided.stored, collided.duplicates, len(collided.collisions)) == (0, 0, 1)
    assert collided.ranges[ADDRESS] == (AckRange(boot=BOOT, first=1, last=1),)
    assert Window.model_validate_json(str(rows(engine, schema.windows)[0]["body"])) == original
    (kept,) = rows(engine, schema.collisions)
    assert (kept["body"], kept["times"]) == (other.canonical().decode(), 2)


def test_the_same_content_in_another_spelling_is_a_duplicate(store: Store, engine: sa.Engine):
    """Maps have no order; nor did an older version of this program store what this one does."""
    window = make_window(1)
    commit(store, window)
    canonical = window.canonical().decode()
    with engine.begin() as connection:
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        connection.execute(sa.update(schema.windows).values(body=canonical, digest=digest))
    assert window.counts is not None
    shuffled = window.model_copy(update={"counts": dict(sorted(window.counts.items(), reverse=True))})
    for again in (window, shuffled):
        committed = commit(store, again)
        assert (committed.duplicates, committed.collisions) == (1, ())


def test_a_collision_within_one_message_keeps_both_contents(store: Store, engine: sa.Engine):
    committed = commit(store, make_window(1, females=3), make_window(1, females=9), make_window(1, females=3))
    assert (committed.stored, committed.duplicates, len(committed.collisions)) == (1, 1, 1)
    assert len(rows(engine, schema.collisions)) == 1


def test_the_same_key_of_another_tenant_is_another_window(store: Store, engine: sa.Engine):
    for tenant in ("demo", "other"):
        payload = make_batch([make_window(1)])
        store.commit(sort_arrivals([Arrival(f"mt/v1/{tenant}/t1/counts", payload, False, 1000)]))
    assert len(rows(engine, schema.windows)) == 2


def test_null_counts_are_stored_as_sql_null(store: Store, engine: sa.Engine):
    commit(store, make_window(1, females=None), make_window(2, females=0))
    with engine.connect() as connection:
        query = sa.select(schema.windows.c.seq).where(schema.windows.c.counts.is_(sa.null()))
        assert connection.execute(query).scalars().all() == [1]


def test_quarantine_keeps_what_came_once_however_often_it_comes(store: Store, engine: sa.Engine):
    poison = Arrival("mt/v1/demo/t1/counts", b"\xff" * (PAYLOAD_LIMIT + 1), False, 7)
    store.commit(sort_arrivals([poison, poison]))
    (kept,) = rows(engine, schema.quarantine)
    assert (kept["times"], kept["tenant"], kept["trap"], kept["received_at_ms"]) == (2, "demo", "t1", 7)
    assert kept["payload"] == b"\xff" * PAYLOAD_LIMIT
    assert "malformed" in str(kept["reason"])


def test_a_batch_that_fails_leaves_nothing_behind(store: Store, engine: sa.Engine):
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE traps RENAME TO hidden")
    with pytest.raises(StoreError, match=r"refuses: .*traps"):
        commit(store, make_window(1))
    assert rows(engine, schema.windows) == []


def test_the_counters_add_up_over_batches(store: Store, engine: sa.Engine):
    commit(store, make_window(1))
    commit(store, make_window(1), make_window(2), make_window(2, females=8))
    store.commit(sort_arrivals([Arrival("mt/v1/demo/t1/counts", b"?", False, 7)]))
    store.beat(Heartbeat(now_ms=9, connected=False, acknowledged=3, batches=2, batch_s=0.5))
    (row,) = rows(engine, schema.collectors)
    counted = [row[name] for name in ("stored", "duplicates", "collisions", "quarantined", "acknowledged", "batches")]
    assert (counted, row["connected"]) == ([2, 1, 1, 1, 3, 2], False)


numbers = st.tuples(st.integers(1, 12), st.sampled_from([None, 0, 5]))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(numbers, min_size=1, max_size=6), max_size=5))
def test_whatever_comes_each_key_is_stored_once_and_every_window_is_accounted_for(
    store: Store, engine: sa.Engine, messages: list[list[tuple[int, int | None]]]
):
    with engine.begin() as connection:
        connection.execute(sa.delete(schema.collisions))
        connection.execute(sa.delete(schema.windows))
    first: dict[int, int | None] = {}
    for message in messages:
        committed = commit(store, *(make_window(seq, females) for seq, females in message))
        for seq, females in message:
            first.setdefault(seq, females)
        acknowledged = {n for one in committed.ranges[ADDRESS] for n in range(one.first, one.last + 1)}
        assert acknowledged == {seq for seq, _ in message}
        assert committed.stored + committed.duplicates + len(committed.collisions) == len(message)
    stored = {row["seq"]: row["counts"] and row["counts"]["Female"] for row in rows(engine, schema.windows)}
    assert stored == first


def test_a_look_for_commands_does_not_wait_for_a_writers_turn(engine: sa.Engine, database_url: str):
    store = Store(engine, "c")
    with open_database(database_url).begin() as writing:
        begun = writing.execute(sa.text("SELECT 1")).scalar_one()
        assert (begun, store.unsent_orders(0)) == (1, [])
