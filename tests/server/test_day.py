"""The curve of a day: gaps are gaps."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_server.day import BUCKET_MS, MOST_POINTS, Gap, Observation, Point, curve, gaps

MINUTE = 60_000


def seen(minute: int, females: int | None = 1, males: int = 0, semantics: str = "occupancy") -> Observation:
    counts = None if females is None else {"Female": females, "Male": males, "Undefined": 5}
    return Observation(minute * MINUTE, (minute + 1) * MINUTE, semantics, counts)


def test_a_window_without_a_frame_is_a_gap_and_never_a_zero():
    day = [seen(0, 3), seen(1, None), seen(2, 4)]
    assert curve(day)[0] == [Point(0, MINUTE, 3, 0), Point(2 * MINUTE, 3 * MINUTE, 4, 0)]
    assert gaps(day, 0, 3 * MINUTE) == [Gap(MINUTE, 2 * MINUTE, "unobserved")]


def test_a_missing_window_is_a_gap():
    assert gaps([seen(0), seen(3)], 0, 4 * MINUTE) == [Gap(MINUTE, 3 * MINUTE, "missing")]


def test_neighbouring_windows_without_a_frame_are_one_gap():
    day = [seen(0), *(seen(minute, None) for minute in (1, 2, 3)), seen(4)]
    assert gaps(day, 0, 5 * MINUTE) == [Gap(MINUTE, 4 * MINUTE, "unobserved")]


def test_time_before_the_first_and_after_the_last_window_is_a_gap():
    assert gaps([seen(10)], 0, 30 * MINUTE) == [
        Gap(0, 10 * MINUTE, "missing"),
        Gap(11 * MINUTE, 30 * MINUTE, "missing"),
    ]


def test_a_window_that_is_still_on_its_way_is_no_gap():
    assert gaps([seen(0), seen(1)], 0, 4 * MINUTE) == []


def test_a_day_without_windows_is_one_gap():
    assert curve([]) == ([], None)
    assert gaps([], 0, 10 * MINUTE) == [Gap(0, 10 * MINUTE, "missing")]


def test_windows_of_other_semantics_are_not_drawn_with_the_newest():
    day = [seen(0, 9, semantics="arrivals"), seen(1, 2)]
    assert curve(day)[0] == [Point(MINUTE, 2 * MINUTE, 2, 0)]
    assert gaps(day, 0, 2 * MINUTE) == [Gap(0, MINUTE, "other_semantics")]


def test_a_class_that_the_model_does_not_know_is_none():
    assert curve([Observation(0, MINUTE, "occupancy", {"Female": 1})])[0] == [Point(0, MINUTE, 1, None)]


@pytest.mark.parametrize(("semantics", "females"), [("occupancy", 3), ("arrivals", 12)])
def test_many_windows_are_drawn_together_by_median_or_sum(semantics: str, females: int):
    day = [seen(minute, (1, 2, 3, 3, 3)[minute % 5], 0, semantics) for minute in range(MOST_POINTS + 20)]
    points, step_ms = curve(day)
    assert step_ms == BUCKET_MS
    assert len(points) == len(day) / 5
    assert {point.females for point in points} == {females}


days = st.lists(st.tuples(st.integers(0, 3000), st.none() | st.integers(0, 50)), max_size=60).map(
    lambda pairs: [seen(minute, females) for minute, females in sorted(dict(pairs).items())]
)


@given(days)
def test_gaps_are_in_order_inside_the_day_and_cover_no_count(day: list[Observation]):
    found = gaps(day, 0, 3100 * MINUTE)
    assert all(0 <= gap.start_ms < gap.end_ms <= 3100 * MINUTE for gap in found)
    assert all(first.end_ms <= second.start_ms for first, second in pairwise(found))
    counted = [one for one in day if one.counts is not None]
    assert not any(gap.start_ms < one.end_ms and one.start_ms < gap.end_ms for gap in found for one in counted)
