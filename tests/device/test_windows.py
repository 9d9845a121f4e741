from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_agent.arrivals import ArrivalCounter
from trap_agent.windows import Draft, WindowSeries, median_count
from trap_contract.correction import Correction
from trap_contract.messages import Window

from device.samples import CLASSES, WALL_MS, found, moment, plan

BOOT = "0" * 32


def numbered(drafts: list[Draft]) -> list[Window]:
    return [draft(boot=BOOT, seq=place) for place, draft in enumerate(drafts, 1)]


def gaps_of(window: Window) -> dict[str, float]:
    return {gap.reason: gap.seconds for gap in window.effort.gaps}


def one_window(*events: tuple[float, str], interval_s: float = 1.0) -> Window:
    """The window from 100 s to 110 s with these frames in it."""
    series = WindowSeries(plan(interval_s=interval_s), moment(100.0))
    for at_s, fate in events:
        if fate == "analysed":
            series.analysed(moment(at_s), found(0), 5.0)
        else:
            getattr(series, fate)(moment(at_s))
    return numbered(list(series.advance(moment(110.0))))[0]


def every_second(fate: str = "analysed", until_s: float = 110.0) -> list[tuple[float, str]]:
    return [(101.0 + step, fate) for step in range(int(until_s - 101.0))]


def test_a_window_without_a_frame_has_no_counts_and_says_why():
    window = one_window()
    assert window.counts is None
    assert window.effort.observed_s == 0
    assert gaps_of(window) == {"no_frame": 10.0}


def test_an_analysed_empty_board_is_an_explicit_zero_for_every_class():
    series = WindowSeries(plan(), moment(100.0))
    series.analysed(moment(101.0), found(), 5.0)
    (window,) = numbered(list(series.finish(moment(102.0))))
    assert window.counts == dict.fromkeys(CLASSES, 0)
    assert window.confidence == {}


def test_frames_at_the_promised_rate_observe_the_whole_window():
    window = one_window(*every_second())
    assert window.effort.observed_s == 10.0
    assert window.effort.gaps == ()


def test_jitter_of_less_than_half_an_interval_is_no_gap():
    window = one_window(*[(at_s + (0.2 if round(at_s) % 2 else -0.2), fate) for at_s, fate in every_second()])
    assert window.effort.gaps == ()


def test_a_camera_that_stalls_leaves_a_gap_without_the_interval_of_its_next_frame():
    window = one_window(*every_second(until_s=104.0), (108.0, "analysed"), (109.0, "analysed"))
    assert gaps_of(window) == {"no_frame": 4.0}
    assert window.effort.observed_s == 6.0


def test_an_unreadable_frame_is_a_gap_and_not_a_count():
    window = one_window(*every_second(until_s=105.0), (105.0, "unreadable"), *every_second()[5:])
    assert gaps_of(window) == {"unreadable": 1.0}
    assert (window.effort.frames_seen, window.effort.frames_analysed) == (9, 8)


def test_dropped_frames_are_an_overload_gap():
    window = one_window(*[(at_s, fate if round(at_s) % 2 else "dropped") for at_s, fate in every_second()])
    assert window.effort.frames_dropped == 4
    assert gaps_of(window) == {"overload": 4.0}
    assert window.effort.observed_s == 6.0


def test_windows_lie_at_whole_multiples_and_the_first_one_says_when_it_began():
    series = WindowSeries(plan(), moment(103.0))
    series.analysed(moment(103.5), found(), 1.0)
    first, second = numbered(list(series.advance(moment(120.0))))
    assert (first.mono_ms, first.duration_ms, second.mono_ms) == (100_000, 10_000, 110_000)
    assert gaps_of(first)["start"] == 3.0
    assert "start" not in gaps_of(second)


def test_the_last_window_says_when_it_was_left():
    series = WindowSeries(plan(), moment(100.0))
    series.analysed(moment(100.5), found(), 1.0)
    (window,) = numbered(list(series.finish(moment(101.0))))
    assert gaps_of(window) == {"stop": 9.0}
    assert window.effort.observed_s == 1.0


def test_a_window_that_has_not_begun_is_not_closed():
    series = WindowSeries(plan(), moment(100.0))
    assert len(list(series.finish(moment(110.0)))) == 1


def test_a_long_silence_closes_every_window_in_it():
    series = WindowSeries(plan(), moment(100.0))
    windows = numbered(list(series.advance(moment(150.0))))
    assert [window.mono_ms for window in windows] == [100_000, 110_000, 120_000, 130_000, 140_000]
    assert all(window.counts is None for window in windows)


def test_the_count_is_the_median_number_in_the_picture():
    series = WindowSeries(plan(), moment(100.0))
    for second, number in enumerate((0, 2, 2, 3, 9), 101):
        series.analysed(moment(second), found(*[1] * number), 1.0)
    (window,) = numbered(list(series.finish(moment(106.0))))
    assert window.counts == {"Female": 0, "Male": 2, "Incomplete": 0, "Out of Focus": 0, "Undefined": 0}
    assert (window.occupancy["Male"].mean, window.occupancy["Male"].max) == (3.2, 9)


def test_confidence_is_the_mean_score_of_a_class():
    series = WindowSeries(plan(), moment(100.0))
    series.analysed(moment(101.0), found(0, 0, 4, scores=[0.5, 1.0, 0.6]), 1.0)
    (window,) = numbered(list(series.finish(moment(102.0))))
    assert window.confidence == {"Female": 0.75, "Undefined": pytest.approx(0.6)}


def test_latency_is_reported_as_median_and_95th_percentile():
    series = WindowSeries(plan(), moment(100.0))
    for number in range(101):
        series.analysed(moment(100 + number / 20), found(), float(number))
    (window,) = numbered(list(series.finish(moment(106.0))))
    assert window.latency_ms is not None
    assert (window.latency_ms.p50, window.latency_ms.p95) == (50.0, 95.0)


def test_with_a_counter_a_window_counts_who_is_new_and_still_says_what_is_in_the_picture():
    arrivals = replace(plan(interval_s=0.5), semantics="arrivals")
    series = WindowSeries(arrivals, moment(100.0), ArrivalCounter(len(CLASSES)))
    for half in range(40):
        series.analysed(moment(100 + half / 2), found(*[0] * (half >= 12)), 1.0)
        if half == 19:
            first = numbered(list(series.advance(moment(110.0))))[0]
    (second,) = numbered(list(series.finish(moment(120.0))))
    assert (first.semantics, first.counts["Female"], second.counts["Female"]) == ("arrivals", 1, 0)
    assert (second.occupancy["Female"].mean, second.occupancy["Female"].max) == (1, 1)


def test_a_window_is_corrected_where_a_matrix_is_known_and_only_what_is_in_the_picture():
    matrix = np.diag([90] * (len(CLASSES) + 1)) + 2
    corrected = replace(plan(), correction=Correction(matrix, 300))
    for semantics, is_corrected in (("occupancy", True), ("catch_delta", False)):
        series = WindowSeries(replace(corrected, semantics=semantics), moment(100.0))
        series.analysed(moment(101.0), found(*[1] * 9), 1.0)
        (window,) = numbered(list(series.finish(moment(102.0))))
        assert bool(window.corrected) == is_corrected
        if is_corrected:
            assert tuple(window.corrected) == CLASSES
            assert 0 < window.corrected["Male"].low <= 9 <= window.corrected["Male"].high
            assert window.corrected["Female"].low == 0


@pytest.mark.parametrize(("counts", "median"), [([0, 1], 1), ([1, 2], 2), ([0, 0, 1], 0), ([3], 3)])
def test_the_median_rounds_halves_up(counts, median):
    assert median_count(np.array(counts).reshape(-1, 1)) == [median]


@pytest.mark.parametrize("step_ms", [-14 * 86_400_000, 86_400_000])
def test_a_step_of_the_wall_clock_dates_the_window_by_the_clock_that_closed_it(step_ms):
    series = WindowSeries(plan(), moment(100.0))
    series.analysed(moment(101.0), found(), 1.0)
    stepped = moment(110.0, WALL_MS + 110_000 + step_ms, is_synced=True)
    (window,) = numbered(list(series.advance(stepped)))
    assert window.duration_ms == 10_000
    assert window.wall_ms == WALL_MS + 100_000 + step_ms
    assert window.clock.synced


def test_a_clock_that_starts_at_1970_gives_no_negative_time():
    series = WindowSeries(plan(), moment(103.0, 0))
    (window,) = numbered(list(series.finish(moment(104.0, 1000))))
    assert window.wall_ms == 0


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 7),
        st.sampled_from(["analysed", "unreadable", "dark", "dropped", "silence"]),
        st.lists(st.integers(0, 4), max_size=6),
    ),
    max_size=40,
)


@given(EVENTS, st.floats(0.05, 3), st.floats(0, 1000), st.integers(-(10**12), 10**12))
def test_whatever_happens_windows_add_up(events, interval_s, begun_s, wall_step_ms):
    series = WindowSeries(plan(interval_s=interval_s), moment(begun_s))
    drafts: list[Draft] = []
    at_s = begun_s
    for step_s, fate, labels in events:
        at_s += step_s
        now = moment(at_s, max(0, WALL_MS + wall_step_ms))
        drafts += series.advance(now)
        if fate == "analysed":
            series.analysed(now, found(*labels), 1.0)
        elif fate != "silence":
            getattr(series, fate)(now)
    windows = numbered([*drafts, *series.finish(moment(at_s + 0.001))])
    assert [window.mono_ms for window in windows] == [
        windows[0].mono_ms + 10_000 * place for place in range(len(windows))
    ]
    assert sum(window.effort.frames_seen for window in windows) == sum(fate != "silence" for _, fate, _ in events)
    for window in windows:
        effort = window.effort
        assert (window.counts is None) == (effort.frames_analysed == 0)
        assert 0 <= effort.observed_s <= window.duration_ms / 1000
        assert effort.observed_s + sum(gap.seconds for gap in effort.gaps) == pytest.approx(10, abs=0.01)
        assert effort.frames_analysed > 0 or effort.observed_s == 0
        assert all(spread.mean <= spread.max for spread in window.occupancy.values())
        assert all(count <= window.occupancy[name].max for name, count in (window.counts or {}).items())
