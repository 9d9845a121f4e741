"""Windows age out; what they counted, their gaps, and that they were there, stay."""

import sqlalchemy as sa
from trap_contract.messages import Clock
from trap_server import deployments, schema
from trap_server.audit import take_account
from trap_server.rollups import reading
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Committed, Store

from server.exports import NOON_MS, caught, keep, lose, make_place
from server.running import rows
from server.traps import make_batch

HOUR = 3_600_000
LATER_MS = NOON_MS + 1000 * HOUR


def told(engine: sa.Engine) -> object:
    with engine.begin() as connection:
        asked = reading.Asked()
        return list(reading.hours(connection, asked)), list(reading.nights(connection, asked))


def offer(engine: sa.Engine, *windows: object) -> Committed:
    return Store(engine, "c").commit(sort_arrivals([Arrival("mt/v1/demo/t1/counts", make_batch(windows), False, 1)]))


def settle(engine: sa.Engine) -> Store:
    store = Store(engine, "c")
    while store.roll_up():
        pass
    return store


def test_hours_and_nights_are_the_same_after_their_windows_are_gone(engine: sa.Engine):
    keep(engine, *(caught(1 + number, number / 3, number % 5) for number in range(60)))
    store, before = settle(engine), None
    before = told(engine)
    assert store.age_out(NOON_MS + 10 * HOUR) == 30
    assert told(engine) == before
    assert len(rows(engine, schema.windows)) == 30
    assert settle(engine).age_out(NOON_MS + 10 * HOUR) == 0
    assert told(engine) == before


def test_an_hour_that_is_not_rolled_up_keeps_its_windows(engine: sa.Engine):
    keep(engine, caught(1, 1))
    assert Store(engine, "c").age_out(LATER_MS) == 0
    assert len(rows(engine, schema.windows)) == 1


def test_a_window_that_comes_again_after_it_aged_out_is_a_duplicate(engine: sa.Engine):
    keep(engine, caught(1, 1), caught(2, 1.1))
    settle(engine).age_out(LATER_MS)
    before = told(engine)
    committed = offer(engine, caught(1, 1), caught(2, 1.1))
    assert (committed.stored, committed.duplicates) == (0, 2)
    assert len(committed.ranges) == 1
    settle(engine)
    assert (rows(engine, schema.windows), told(engine)) == ([], before)


def test_a_window_that_comes_late_into_a_sealed_hour_is_added(engine: sa.Engine):
    keep(engine, caught(1, 1, 3), caught(3, 1.2, 4))
    store = settle(engine)
    store.age_out(LATER_MS)
    assert offer(engine, caught(2, 1.1, 5)).stored == 1
    for _ in range(2):
        (hour,), (night,) = told(engine)
        assert (hour.windows, (night.counts or {})["Female"]) == (3, 12)
        settle(engine).age_out(LATER_MS)
    assert rows(engine, schema.windows) == []


def test_effort_that_was_lost_stays_told_where_it_was_after_the_windows_around_it_are_gone(engine: sa.Engine):
    keep(engine, *(caught(1 + number, number / 3, 1) for number in range(60) if not 20 <= number < 35))
    lose(engine, 21, 35)
    store = settle(engine)
    before = told(engine)
    assert store.age_out(NOON_MS + 10 * HOUR) == 20
    assert told(engine) == before
    settle(engine).age_out(LATER_MS)
    assert (told(engine), rows(engine, schema.windows)) == (before, [])


def test_gaps_stay_known_and_what_aged_out_is_none(engine: sa.Engine):
    keep(engine, caught(1, 1), caught(2, 1.1), caught(5, 1.4), caught(9, 30))
    settle(engine).age_out(NOON_MS + 20 * HOUR)
    with engine.begin() as connection:
        (boot,) = take_account(connection, None).boots
    assert (boot.stored, boot.missing) == (1, ((3, 4), (6, 8)))


def test_windows_that_collided_stay(engine: sa.Engine):
    keep(engine, caught(1, 1, 3), caught(2, 1.1, 3))
    keep(engine, caught(1, 1, 4))
    store, before = settle(engine), None
    before = told(engine)
    assert store.age_out(LATER_MS) == 1
    assert [row["seq"] for row in rows(engine, schema.windows)] == [1]
    assert told(engine) == before


def test_sealed_hours_follow_a_deployment_that_is_entered_later(engine: sa.Engine):
    keep(engine, caught(1, 5, 3), caught(2, 5.5, 4, clock=Clock(synced=True)))
    settle(engine).age_out(LATER_MS)
    with engine.begin() as connection:
        deployments.add(connection, make_place())
    settle(engine)
    (hour,), (night,) = told(engine)
    assert (hour.site, night.site, night.boundary, (night.counts or {})["Female"]) == ("s1", "s1", "solar", 7)
