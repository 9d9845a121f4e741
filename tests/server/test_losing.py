"""Lost effort is told in the hours and nights in which it was made, and never as zero."""

import datetime as dt
from itertools import pairwise

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.messages import Clock
from trap_server import schema
from trap_server.exporting.reading import Period, Selection, read_rows
from trap_server.exporting.rows import Row
from trap_server.rollups import keeping
from trap_server.rollups.building import HOUR_MS
from trap_server.rollups.losing import LONGEST_MS, Beside, spread
from trap_server.store import Store

from server.exports import NIGHT, NOON_MS, caught, keep, lose
from server.running import rows

LATER_MS = NOON_MS + 30 * 24 * HOUR_MS
KERNEL = {"kernel_boot": "k"}


def told(engine: sa.Engine, period: Period) -> list[Row]:
    while Store(engine, "c").roll_up():
        pass
    with engine.begin() as connection:
        return list(read_rows(connection, period, Selection(), LATER_MS))


def lost_hours(engine: sa.Engine) -> dict[int, float]:
    """Seconds lost by hours after noon."""
    return {(row.begins_ms - NOON_MS) // HOUR_MS: row.lost_s for row in told(engine, "hour") if row.lost_s}


def test_what_is_lost_between_two_windows_is_told_in_its_hours_and_its_night(engine: sa.Engine):
    keep(engine, caught(1, 0), caught(182, 181 / 60))
    lose(engine, 2, 181)
    assert lost_hours(engine) == {0: 59 * 60, 1: 3600, 2: 3600, 3: 60}
    hour = told(engine, "hour")[1]
    assert (hour.counts, hour.windows, hour.observed_s, hour.models) == (None, 0, 0.0, ())
    (night,) = told(engine, "night")
    assert (night.lost_s, night.observed_s, night.windows, night.problem) == (180 * 60, 120, 2, True)


def test_a_night_in_which_everything_was_lost_is_told_without_counts(engine: sa.Engine):
    keep(engine, caught(1, 0), caught(2 + 48 * 60, 48 + 1 / 60))
    lose(engine, 2, 1 + 48 * 60)
    first, second, _ = told(engine, "night")
    assert (first.night, first.lost_s) == (NIGHT, 86_340)
    assert (second.night, second.lost_s, second.counts) == (NIGHT + dt.timedelta(days=1), 86_400, None)


def test_beside_one_window_only_it_goes_on_from_there(engine: sa.Engine):
    keep(engine, caught(5, 1))
    lose(engine, 1, 4)
    lose(engine, 6, 65)
    assert lost_hours(engine) == {0: 240, 1: 59 * 60, 2: 60}


def test_what_a_boot_lost_without_a_stored_window_is_dated_when_one_comes(engine: sa.Engine):
    lose(engine, 1, 4)
    assert told(engine, "hour") == []
    keep(engine, caught(5, 1))
    assert lost_hours(engine) == {0: 240}


def test_what_comes_after_all_is_lost_no_more(engine: sa.Engine):
    keep(engine, caught(1, 0), caught(4, 3))
    lose(engine, 2, 3)
    keep(engine, caught(2, 1))
    assert lost_hours(engine) == {1: 60}
    keep(engine, caught(3, 2))
    assert (lost_hours(engine), rows(engine, schema.lost_effort)) == ({}, [])


def test_it_moves_with_the_windows_around_it_when_their_clock_is_repaired(engine: sa.Engine):
    unset = {"clock": Clock(synced=False), **KERNEL}
    keep(engine, caught(1, -900, mono_ms=0, **unset), caught(3, -899, mono_ms=HOUR_MS, **unset))
    lose(engine, 2, 2)
    keep(engine, caught(4, 2, mono_ms=2 * HOUR_MS, **KERNEL))
    assert [row.lost_s for row in told(engine, "hour")] == [60, 0, 0]
    assert told(engine, "hour")[0].begins_ms == NOON_MS


def test_losses_told_before_they_had_a_place_get_one_when_everything_is_built_anew(engine: sa.Engine):
    keep(engine, caught(1, 0), caught(182, 181 / 60))
    lose(engine, 2, 181)
    before = told(engine, "hour")
    with engine.begin() as connection:
        for table in (schema.lost_effort, schema.hours, schema.nights):
            connection.execute(sa.delete(table))
        keeping.start_anew(connection)
    assert told(engine, "hour") == before


def test_a_word_of_more_than_a_year_is_kept_and_makes_no_hours(engine: sa.Engine):
    keep(engine, caught(1, 0))
    lose(engine, 2, 2**53 - 1)
    assert (lost_hours(engine), rows(engine, schema.lost_effort)) == ({}, [])
    assert rows(engine, schema.boots)[0]["lost"] == [[2, 2**53 - 1]]


durations = st.sampled_from([1, 250, 10_000, 60_000, 3_600_000])
neighbours = st.none() | st.tuples(st.integers(0, 10 * LONGEST_MS), durations)


@given(st.integers(1, 50), st.integers(1, 10**9), neighbours, neighbours, st.lists(st.integers(0, 400), max_size=5))
def test_parts_lie_in_the_spread_and_add_up_to_the_effort_wherever_time_is_cut(
    first: int,
    numbers: int,
    before: tuple[int, int] | None,
    after: tuple[int, int] | None,
    cuts: list[int],
):
    lost = (first + 1, first + numbers)
    found = spread(
        lost,
        before and Beside(first, *before, "arrivals"),
        after and Beside(first + numbers + 1, *after, "arrivals"),
    )
    if found is None:
        return
    assert found.end_ms - found.start_ms <= LONGEST_MS
    assert found.parts <= min(numbers, 1 + (found.end_ms - found.start_ms) // 1000)
    if found.parts > 100_000:
        return
    ends = sorted({found.start_ms, found.end_ms, *(found.start_ms + cut * HOUR_MS for cut in cuts)})
    parts = [part for begin, end in pairwise(ends) for part in found.between(begin, end)]
    assert len(parts) == found.parts
    assert sum(effort_ms for _, effort_ms in parts) == found.effort_ms
    assert all(found.start_ms <= begin < found.end_ms for begin, _ in parts)
    assert {begin - begin % HOUR_MS for begin, _ in parts} <= set(found.hours())
