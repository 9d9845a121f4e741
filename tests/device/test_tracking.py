"""Arrivals: who comes is counted once, whoever sits, hides or flickers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trap_agent.arrivals import ArrivalCounter
from trap_agent.tracking import CONFIRM_S, OCCLUSION_S, Track, Tracker
from trap_contract.detections import Detections

from device.insects import CLASSES, SHARP, Board, Eyesight

FPS = 10.0
Spot = tuple[float, float, int]


def seen(*insects: Spot, score: float = 0.8, size: float = 40.0) -> Detections:
    """Insects of 40 px at x, y with a class."""
    table = np.array(insects, np.float32).reshape(-1, 3)
    boxes = np.concatenate([table[:, :2] - size / 2, table[:, :2] + size / 2], axis=1)
    return Detections(boxes, np.full(len(table), score, np.float32), table[:, 2].astype(np.int64))


def watch(tracker: Tracker, begun_s: float, end_s: float, *insects: Spot, fps: float = FPS) -> list[Track]:
    """The arrivals while these insects sit still from `begun_s` until before `end_s`."""
    times = np.arange(begun_s, end_s - 1e-6, 1 / fps).tolist()
    return [track for at_s in times for track in tracker.update(seen(*insects), at_s)]


def settled(*insects: Spot, until_s: float = 5.0) -> Tracker:
    """A tracker that has seen these from the start."""
    tracker = Tracker(CLASSES)
    assert watch(tracker, 0.0, until_s, *insects) == []
    return tracker


def test_what_is_there_at_the_start_is_no_arrival() -> None:
    tracker = settled((50, 50, 0), (150, 50, 1))
    assert watch(tracker, 5.0, 30.0, (50, 50, 0), (150, 50, 1)) == []


def test_one_hidden_at_the_start_is_no_arrival() -> None:
    tracker = Tracker(CLASSES)
    assert watch(tracker, 0.0, OCCLUSION_S) == []
    assert watch(tracker, OCCLUSION_S, 10.0, (50, 50, 0)) == []


def test_a_newcomer_is_one_arrival_however_long_it_sits() -> None:
    tracker = settled()
    (track,) = watch(tracker, 5.0, 65.0, (50, 50, 1))
    assert (track.begun_s, track.label) == (5.0, 1)


@pytest.mark.parametrize("fps", [1.0, 2.0, 10.0, 25.0])
def test_a_newcomer_counts_after_a_second_at_any_frame_rate(fps: float) -> None:
    tracker = settled()
    assert watch(tracker, 5.0, 5.0 + CONFIRM_S, (50, 50, 0), fps=fps) == []
    assert len(watch(tracker, 5.0 + CONFIRM_S, 5.0 + CONFIRM_S + 1 / fps, (50, 50, 0), fps=fps)) == 1


def test_flickers_do_not_count() -> None:
    tracker = settled()
    for frame in range(100):
        spots = [(50.0, 50.0, 0)] if frame % 4 == 0 else []
        assert tracker.update(seen(*spots), 5 + frame / FPS) == []


@pytest.mark.parametrize("fps", [2.0, 10.0, 25.0])
def test_an_insect_hidden_for_2_s_is_the_same(fps: float) -> None:
    tracker, last_s = settled((50, 50, 0)), 4.9
    assert watch(tracker, last_s + 1 / fps, last_s + OCCLUSION_S, fps=fps) == []
    assert watch(tracker, last_s + OCCLUSION_S, 9.0, (54, 48, 0), fps=fps) == []


def test_an_insect_gone_for_longer_arrives_again() -> None:
    tracker = settled((50, 50, 0))
    watch(tracker, 5.0, 7.5)
    assert len(watch(tracker, 7.5, 10.0, (50, 50, 0))) == 1


def test_two_insects_that_walk_over_each_other_are_no_arrival() -> None:
    tracker = settled((50, 50, 0), (150, 60, 1))
    for frame in range(40):
        x = 2.5 * frame
        both = seen((50 + x, 50, 0), (150 - x, 60, 1))
        hidden = both.take(np.array([0])) if abs(2 * x - 100) < 30 else both
        assert tracker.update(hidden, 5 + frame / FPS) == []
    assert watch(tracker, 9.0, 12.0, (150, 50, 0), (50, 60, 1)) == []


@pytest.mark.parametrize("gap_s", [3.0, 60.0, 86_400.0])
def test_a_lost_camera_makes_no_sitting_insect_arrive_anew(gap_s: float) -> None:
    tracker = settled((50, 50, 0), (150, 50, 1), (250, 50, 2))
    back_s = 5 + gap_s
    assert watch(tracker, back_s, back_s + 0.5, (52, 49, 0), (150, 50, 1)) == []
    assert watch(tracker, back_s + 0.5, back_s + 5, (52, 49, 0), (150, 50, 1), (250, 52, 2)) == []


def test_who_came_while_the_camera_was_lost_arrives() -> None:
    tracker = settled((50, 50, 0))
    assert [track.label for track in watch(tracker, 600.0, 603.0, (50, 50, 0), (150, 50, 1))] == [1]


def test_after_a_lost_camera_another_class_beside_the_place_is_another_insect() -> None:
    assert len(watch(settled((50, 50, 0)), 600.0, 603.0, (64, 50, 1))) == 1
    assert watch(settled((50, 50, 0)), 600.0, 603.0, (64, 50, 0)) == []
    assert watch(settled((50, 50, 0)), 600.0, 603.0, (52, 50, 1)) == []


def test_a_picture_every_ten_minutes_is_enough() -> None:
    tracker = Tracker(CLASSES)
    tracker.update(seen((50, 50, 0)), 0.0)
    assert tracker.update(seen((50, 50, 0), (150, 50, 1)), 600.0) == []
    assert len(tracker.update(seen((50, 50, 0), (150, 50, 1)), 1200.0)) == 1
    assert tracker.update(seen((50, 50, 0)), 1800.0) == []
    assert tracker.update(seen((50, 50, 0), (150, 50, 1)), 2400.0) == []


def test_the_size_of_insects_in_px_makes_no_difference() -> None:
    for scale in (0.25, 1.0, 8.0):
        tracker = Tracker(CLASSES)
        for frame in range(100):
            spots = [(100.0 * scale, 100.0 * scale, 0)] + ([(160.0 * scale, 100.0 * scale, 1)] if frame > 40 else [])
            new = tracker.update(seen(*spots, size=40 * scale), frame / FPS)
            assert len(new) == (frame == 51)


def test_the_class_is_the_one_with_the_highest_sum_of_scores() -> None:
    counter = ArrivalCounter(CLASSES)
    for frame in range(100):
        at_s = frame / FPS
        label, score = (3, 0.9) if at_s < 5.3 else (0, 0.8) if frame % 3 else (1, 0.9)
        counter.update(seen(*([(50.0, 50.0, label)] if at_s >= 5 else []), score=score), at_s)
    assert counter.take().counts.tolist() == [1, 0, 0, 0, 0]


def test_an_arrival_counts_once_in_the_window_that_confirmed_it() -> None:
    counter = ArrivalCounter(CLASSES)
    for frame in range(56):
        counter.update(seen(*([(50.0, 50.0, 0)] if frame >= 50 else [])), frame / FPS)
    assert counter.take().counts.sum() == 0
    for frame in range(56, 100):
        counter.update(seen((50, 50, 0)), frame / FPS)
    assert counter.take().counts.tolist() == [1, 0, 0, 0, 0]
    assert counter.take().counts.sum() == 0


@pytest.mark.parametrize(("seed", "walkers"), [(3, 0.0), (17, 0.4), (123, 0.2), (900, 0.4)])
def test_arrivals_on_a_busy_board_are_within_a_tenth_for_a_poor_detector(seed: int, walkers: float) -> None:
    board, counter = Board(seed, 60, walkers), ArrivalCounter(CLASSES)
    for at_s, found in board.frames(40.0, 2.0, Eyesight()):
        counter.update(found, at_s)
    truth = sum(board.arrivals(40.0))
    assert abs(counter.take().counts.sum() - truth) <= max(2, 0.1 * truth)


def test_with_perfect_sight_and_room_every_class_is_exact() -> None:
    board, counter = Board(4, 12, 0.0, 1200), ArrivalCounter(CLASSES)
    for at_s, found in board.frames(60.0, 5.0, SHARP):
        counter.update(found, at_s)
    assert counter.take().counts.tolist() == board.arrivals(60.0)


SPOTS = st.tuples(st.floats(0, 200), st.floats(0, 200), st.integers(0, 4))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5), st.lists(SPOTS, max_size=8)), max_size=30))
def test_whatever_is_seen_nobody_arrives_twice_or_out_of_nothing(frames: list[tuple[float, list[Spot]]]) -> None:
    tracker, at_s, arrived, boxes = Tracker(CLASSES), 0.0, [], 0
    for step_s, spots in frames:
        at_s += step_s
        boxes += len(spots)
        arrived += tracker.update(seen(*spots), at_s)
    assert len({id(track) for track in arrived}) == len(arrived)
    assert 2 * len(arrived) <= boxes
    assert all(track.seen_s - track.begun_s >= CONFIRM_S for track in arrived)
