"""Hours and nights as kept are, at every moment, what windows and losses come to when read from the beginning."""

import json
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trap_contract.messages import Clock, Window
from trap_server import deployments, schema
from trap_server.database import open_database
from trap_server.nights import Deployment, Hour, TrapNight
from trap_server.rollups import keeping, reading
from trap_server.rollups.building import Counted, Lost, Standing, build_hours, build_nights
from trap_server.rollups.losing import Beside, spread
from trap_server.store import Store

from server.exports import NOON_MS, caught, keep, lose, make_place
from server.traps import make_window

HOUR = 3_600_000
KERNELS = ("k1", "k2")


def from_scratch(connection: sa.Connection) -> tuple[list[Hour], list[TrapNight]]:
    """Everything, from nothing but windows and what is lost."""
    w = schema.windows.c
    windows = [
        Counted(
            row.tenant, row.trap, row.start_ms, row.semantics, row.counts, row.observed_s,
            f"{row.model_id}@{row.model_sha256[:16]}", json.loads(row.body)["model"]["threshold"],
            row.clock_method != "trusted",
        )
        for row in connection.execute(sa.select(*w))
    ]  # fmt: skip
    standing = Standing(deployments.deployments(connection).values())
    hours = build_hours([*windows, *lost_from_scratch(connection)], standing)
    return hours, sorted(build_nights(hours, standing).values(), key=reading.place_of)


def lost_from_scratch(connection: sa.Connection) -> list[Lost]:
    w, found = schema.windows.c, []
    stored = connection.execute(sa.select(w.boot, w.seq, w.start_ms, w.duration_ms, w.semantics).order_by(w.seq)).all()
    for boot, ranges in connection.execute(sa.select(schema.boots.c.boot, schema.boots.c.lost)):
        for first, last in ranges:
            before = next((Beside(*row[1:]) for row in reversed(stored) if row[0] == boot and row[1] < first), None)
            after = next((Beside(*row[1:]) for row in stored if row[0] == boot and row[1] > last), None)
            whole = spread((first, last), before, after)
            if whole is not None:
                parts = whole.between(0, 2**53)
                found += [Lost("demo", "t1", start_ms, whole.semantics, lost_ms) for start_ms, lost_ms in parts]
    return found


def kept(connection: sa.Connection) -> tuple[list[Hour], list[TrapNight]]:
    asked = reading.Asked()
    return list(reading.hours(connection, asked)), sorted(reading.nights(connection, asked), key=reading.place_of)


def assert_exact(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        hours, nights = from_scratch(connection)
        found_hours, found_nights = kept(connection)
        order = lambda one: (one.tenant, one.trap, one.hour_ms, one.night, one.deployed_ms or -1, one.semantics)  # noqa: E731
        assert sorted(found_hours, key=order) == sorted(hours, key=order)
        assert found_nights == nights


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Of two kernel boots; some clocks are not set and are repaired when one that is comes."""
    seq = draw(st.integers(1, 40))
    at_ms = NOON_MS - 2 * HOUR + seq * draw(st.sampled_from([60_000, 17 * 60_000, 3 * HOUR]))
    synced = draw(st.booleans())
    return make_window(
        seq,
        females=draw(st.none() | st.integers(0, 4)),
        boot=draw(st.sampled_from(["a" * 32, "b" * 32])),
        wall_ms=at_ms if synced else at_ms - draw(st.integers(0, 40)) * HOUR,
        mono_ms=at_ms - NOON_MS + 10 * HOUR,
        kernel_boot=draw(st.sampled_from(KERNELS)),
        clock=Clock(synced=synced),
        semantics=draw(st.sampled_from(["arrivals", "occupancy"])),
    )


PLACES = (
    make_place(),
    make_place(site="s2", latitude=None, longitude=None, timezone="Asia/Tokyo"),
    make_place(site="s3", begins_ms=NOON_MS, ends_ms=NOON_MS + 5 * HOUR),
)
LOSSES = st.tuples(st.sampled_from(["a" * 32, "b" * 32]), st.integers(1, 40), st.integers(0, 20))
STEPS = st.one_of(windows(), windows(), st.sampled_from(PLACES), LOSSES, st.just("refresh"), st.just("remove"))
Step = Window | Deployment | tuple[str, int, int] | str


def take(engine: sa.Engine, step: Step) -> None:
    if isinstance(step, Window):
        keep(engine, step)
        return
    if isinstance(step, tuple):
        boot, first, more = step
        lose(engine, first, first + more, boot=boot)
        return
    with engine.begin() as connection:
        if step == "refresh":
            keeping.refresh(connection, limit=3)
        elif step == "remove":
            for number in list(deployments.deployments(connection))[:1]:
                deployments.remove(connection, number)
        elif isinstance(step, Deployment) and not deployments.deployments(connection):
            deployments.add(connection, step)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=25))
def test_whatever_comes_late_is_lost_or_dated_anew_kept_and_from_scratch_are_equal(
    engine: sa.Engine, steps: list[Step]
):
    with engine.begin() as connection:
        for table in reversed(schema.metadata.sorted_tables):
            connection.execute(sa.delete(table))
    for step in steps:
        take(engine, step)
    assert_exact(engine)
    while Store(engine, "c").roll_up():
        pass
    assert_exact(engine)


def test_a_refresh_leaves_nothing_stale_and_reads_as_before(engine: sa.Engine):
    keep(engine, *(caught(1 + hour, hour, hour) for hour in range(30)))
    store = Store(engine, "c")
    assert store.roll_up() == 30
    assert store.roll_up() == 0
    assert_exact(engine)


def test_starting_anew_builds_the_same(engine: sa.Engine):
    keep(engine, *(caught(1 + hour, hour, hour) for hour in range(30)))
    with engine.begin() as connection:
        connection.execute(sa.update(schema.hours).values(windows=99))
        connection.execute(sa.update(schema.nights).values(windows=99))
        assert keeping.start_anew(connection) == 30
        while keeping.refresh(connection):
            pass
    assert_exact(engine)


def test_a_window_dated_beyond_the_calendar_is_on_no_night(engine: sa.Engine):
    keep(engine, make_window(1, wall_ms=2**53 - 1))
    Store(engine, "c").roll_up()
    with engine.begin() as connection:
        assert kept(connection) == ([], [])


def test_reading_can_begin_at_a_trap(engine: sa.Engine):
    for trap in ("t1", "t2", "t3"):
        keep(engine, *(caught(1 + day, 24 * day, day) for day in range(2)), trap=trap)
    Store(engine, "c").roll_up(limit=3)
    asked = reading.Asked(at_trap=("demo", "t2"))
    with engine.begin() as connection:
        assert [one.trap for one in reading.nights(connection, asked)] == ["t2", "t2", "t3", "t3"]
        assert [one.trap for one in reading.hours(connection, asked)] == ["t2", "t2", "t3", "t3"]


def test_sqlite_reads_a_page_of_all_nights_in_order_and_never_sorts_them(tmp_path: Path):
    asked: list[tuple[str, object]] = []
    with open_database(f"sqlite:///{tmp_path / 'counts.db'}").begin() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        list(reading.nights(connection, reading.Asked()))
        statement, values = asked[-1]
        plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert plan == ["SCAN nights USING INDEX nights_of_trap"]
