"""The curve and the totals of a day: gaps are gaps."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_server.day import BUCKET_MS, MOST_POINTS, Gap, Observation, Point, Totals, curve, gaps, totals

MINUTE = 60_000


def counted(minute: int, length: int = 1, **counts: int) -> Point:
    return Point(minute * MINUTE, (minute + length) * MINUTE, counts)


def seen(minute: int, females: int | None = 1, males: int = 0, semantics: str = "occupancy") -> Observation:
    counts = None if females is None else {"Female": females, "Male": males, "Undefined": 5}
    return Observation(minute * MINUTE, (minute + 1) * MINUTE, semantics, counts)


def test_a_window_without_a_frame_is_a_gap_and_never_a_zero():
    day = [seen(0, 3), seen(1, None), seen(2, 4)]
    assert curve(day)[0] == [
        counted(0, Female=3, Male=0, Undefined=5),
        counted(2, Female=4, Male=0, Undefined=5),
    ]
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
    assert curve(day)[0] == [counted(1, Female=2, Male=0, Undefined=5)]
    assert gaps(day, 0, 2 * MINUTE) == [Gap(0, MINUTE, "other_semantics")]


def mosquitoes(minute: int, count: int) -> Observation:
    return Observation(minute * MINUTE, (minute + 1) * MINUTE, "occupancy", {"mosquito": count}, 30.0)


def test_a_point_has_the_classes_of_its_own_model_only():
    assert curve([seen(0, 2), mosquitoes(1, 9)])[0] == [
        counted(0, Female=2, Male=0, Undefined=5),
        counted(1, mosquito=9),
    ]


def test_windows_before_and_after_a_change_of_the_model_are_not_drawn_together():
    day = [seen(minute, 2) for minute in range(498)] + [mosquitoes(minute, 9) for minute in range(498, 700)]
    points, _ = curve(day)
    change = [point for point in points if point.start_ms // BUCKET_MS == 498 * MINUTE // BUCKET_MS]
    assert change == [counted(495, 3, Female=2, Male=0, Undefined=5), counted(498, 2, mosquito=9)]


def test_totals_sum_what_arrives_and_never_what_is_in_the_picture():
    day = [seen(0, 4, semantics="arrivals"), seen(1, None, semantics="arrivals"), mosquitoes(2, 9), mosquitoes(3, 7)]
    day += [seen(4, 3, semantics="arrivals")]
    assert totals(day) == Totals(
        windows=5, observed_s=60.0, caught={"Female": 7, "Male": 0, "Undefined": 10}, most_at_once={"mosquito": 9}
    )
    assert totals([seen(0, None)]) == Totals(windows=1, observed_s=0.0, caught=None, most_at_once=None)


@pytest.mark.parametrize(("semantics", "females"), [("occupancy", 3), ("arrivals", 12)])
def test_many_windows_are_drawn_together_by_median_or_sum(semantics: str, females: int):
    day = [seen(minute, (1, 2, 3, 3, 3)[minute % 5], 0, semantics) for minute in range(MOST_POINTS + 20)]
    points, step_ms = curve(day)
    assert step_ms == BUCKET_MS
    assert len(points) == len(day) / 5
    assert {point.counts["Female"] for point in points} == {females}


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
