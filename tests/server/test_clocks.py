"""Raw clocks are kept, and what an anchor tells repairs the windows that came before it."""

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trap_contract.messages import Clock, Window
from trap_contract.topics import TrapAddress
from trap_server import queries, schema
from trap_server.repair import TRUSTED_ERROR_MS, KernelBoot, Reading
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

from server.running import rows
from server.traps import NOON_MS, make_batch, make_window

MINUTE = 60_000
RECEIVED_MS = NOON_MS + 10**9
LAG_MS = 14 * 24 * 60 * MINUTE


@pytest.fixture
def store(engine: sa.Engine) -> Store:
    return Store(engine, "c")


def window(seq: int, synced: bool, kernel_boot: str = "k1") -> Window:
    """A minute that truly began at noon + seq minutes; unsynced, its clock is two weeks behind."""
    wall_ms = NOON_MS + seq * MINUTE - (0 if synced else LAG_MS)
    return make_window(seq, wall_ms=wall_ms, clock=Clock(synced=synced), kernel_boot=kernel_boot)


def send(store: Store, *windows: Window) -> None:
    store.commit(sort_arrivals([Arrival("mt/v1/demo/t1/counts", make_batch(windows), False, RECEIVED_MS)]))


def test_windows_before_the_clock_was_set_are_repaired_when_it_is(store: Store, engine: sa.Engine):
    send(store, window(1, False), window(2, False))
    assert {row["clock_method"] for row in rows(engine, schema.windows)} == {"bounded"}
    send(store, window(3, True))
    found = rows(engine, schema.windows)
    assert [row["start_ms"] for row in found] == [NOON_MS + seq * MINUTE for seq in (1, 2, 3)]
    assert [row["clock_method"] for row in found] == ["anchored", "anchored", "trusted"]
    assert found[2]["clock_error_ms"] == TRUSTED_ERROR_MS < found[0]["clock_error_ms"]
    assert found[0]["wall_ms"] == NOON_MS + MINUTE - LAG_MS, "what the trap said is kept"


def test_a_late_window_finds_the_anchor_that_came_before_it(store: Store, engine: sa.Engine):
    send(store, window(3, True))
    send(store, window(1, False))
    assert rows(engine, schema.windows)[1]["start_ms"] == NOON_MS + MINUTE


def test_an_anchor_of_another_kernel_boot_repairs_nothing(store: Store, engine: sa.Engine):
    send(store, window(1, False, "k1"), window(2, False, ""))
    send(store, window(3, True, "k2"), window(4, True, ""))
    assert [row["clock_method"] for row in rows(engine, schema.windows)] == ["bounded", "bounded", "trusted", "trusted"]


def test_queries_go_by_the_repaired_time(store: Store, engine: sa.Engine):
    send(store, window(1, False), window(2, True))
    with engine.begin() as connection:
        found = queries.observations(connection, TrapAddress("demo", "t1"), NOON_MS, NOON_MS + 10 * MINUTE)
    assert [one.start_ms for one in found] == [NOON_MS + MINUTE, NOON_MS + 2 * MINUTE]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_whatever_the_order_of_arrival_the_rows_are_what_all_windows_together_tell(
    store: Store, engine: sa.Engine, synced: list[bool], data: st.DataObject
):
    with engine.begin() as connection:
        for table in (schema.windows, schema.boots, schema.clocks):
            connection.execute(sa.delete(table))
    windows = [window(seq, is_synced) for seq, is_synced in enumerate(synced, 1)]
    for one in data.draw(st.permutations(windows)):
        send(store, one)
    boot = KernelBoot().after(
        Reading(one.mono_ms, one.wall_ms, one.duration_ms, one.clock.synced, RECEIVED_MS) for one in windows
    )
    expected = {one.seq: boot.start(one.mono_ms, one.wall_ms, synced=one.clock.synced) for one in windows}
    for row in rows(engine, schema.windows):
        start = expected[row["seq"]]
        assert (row["start_ms"], row["clock_method"], row["clock_error_ms"]) == (
            start.start_ms,
            start.method,
            start.error_ms,
        )
