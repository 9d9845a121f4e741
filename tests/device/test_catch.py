"""A board that keeps its catch: only who is new counts, whatever happens to the board."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trap_agent.catch import PATIENCE, Board, CatchCounter, match
from trap_contract.detections import Detections

CLASSES = 2
ROUGH = np.random.default_rng(0).uniform(-20, 20, (36, 2))
GRID = [(70.0 * (place % 6) + ROUGH[place, 0], 70.0 * (place // 6) + ROUGH[place, 1]) for place in range(36)]
"""Places on a board, in no regular pattern that a shift could fit twice."""


def seen(*places: int, shift: tuple[float, float] = (0, 0), label: int = 0) -> Detections:
    """Insects of 40 px at these places."""
    middle = np.array([GRID[place] for place in places], np.float32).reshape(-1, 2) + np.array(shift, np.float32)
    boxes = np.concatenate([middle - 20, middle + 20], axis=1).astype(np.float32)
    return Detections(boxes, np.full(len(boxes), 0.9, np.float32), np.full(len(boxes), label, np.int64))


def board(*places: int) -> Board:
    """One whose first picture showed these."""
    begun = Board(CLASSES)
    assert begun.compare(seen(*places)).counts.tolist() == [0, 0]
    return begun


def new(one: Board, picture: Detections) -> int:
    return int(one.compare(picture).counts.sum())


def test_the_first_picture_is_no_catch() -> None:
    board(0, 1, 2)


def test_the_new_ones_count_once_by_their_class() -> None:
    one = board(0, 1, 2)
    both = Detections.joined([seen(0, 1, 2), seen(7, label=1), seen(9)])
    assert one.compare(both).counts.tolist() == [1, 1]
    assert one.compare(both).counts.tolist() == [0, 0]


def test_an_overlooked_insect_is_not_new_when_it_is_seen_again() -> None:
    one = board(*range(10))
    for _ in range(PATIENCE):
        assert new(one, seen(*range(9))) == 0
    assert new(one, seen(*range(10))) == 0


def test_an_insect_overlooked_for_longer_is_forgotten() -> None:
    one = board(*range(10))
    for _ in range(PATIENCE + 1):
        one.compare(seen(*range(9)))
    assert new(one, seen(*range(10))) == 1


def test_an_emptied_board_is_said_and_what_comes_later_counts() -> None:
    one = board(*range(12))
    emptied = one.compare(seen(20))
    assert (emptied.board, emptied.counts.tolist()) == ("emptied", [1, 0])
    later = one.compare(seen(20, *range(3)))
    assert (later.board, later.counts.tolist()) == (None, [3, 0])


def test_what_stayed_on_an_emptied_board_is_not_new() -> None:
    emptied = board(*range(12)).compare(seen(0, 1, 30))
    assert (emptied.board, emptied.counts.tolist()) == ("emptied", [1, 0])


def test_a_few_insects_gone_do_not_empty_a_board() -> None:
    assert board(0, 1, 2).compare(seen()).board is None
    assert board(*range(20)).compare(seen(*range(5))).board is None


def test_a_night_without_a_lamp_counts_nobody_twice() -> None:
    one = board(*range(12))
    assert one.compare(seen()).board == "emptied"
    for _ in range(3):
        assert new(one, seen()) == 0
    assert new(one, seen(*range(12))) == 0
    assert new(one, seen(*range(14))) == 2


def test_who_comes_in_the_dark_counts_when_the_light_is_back() -> None:
    one = board(*range(12))
    one.compare(seen())
    assert new(one, seen(*range(14))) == 2


@pytest.mark.parametrize("shift", [(12, 0), (30, -25), (-70, 55), (100, 100)])
def test_a_shifted_board_brings_no_new_insect_but_the_new_one(shift: tuple[float, float]) -> None:
    one = board(*range(20))
    assert one.compare(seen(*range(21), shift=shift)).counts.tolist() == [1, 0]
    assert new(one, seen(*range(21), shift=shift)) == 0


def test_the_shift_is_found_to_a_few_px() -> None:
    _, shift = match(seen(*range(20)), seen(*range(2, 24), shift=(50, -30)))
    assert shift == pytest.approx([50, -30], abs=2)


def test_a_board_that_moved_out_of_reach_counts_only_what_exceeds_the_number_before() -> None:
    one = board(*range(12))
    moved = one.compare(seen(*range(15), shift=(2000, 0)))
    assert (moved.board, moved.counts.tolist()) == ("moved", [3, 0])
    assert board(*range(12)).compare(seen(*range(9), shift=(2000, 0))).counts.tolist() == [0, 0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sets(st.integers(0, 35)), min_size=1, max_size=12), st.integers(0, 1))
def test_no_count_is_ever_negative_or_above_what_is_there(pictures: list[set[int]], label: int) -> None:
    one = Board(CLASSES)
    for places in pictures:
        counts = one.compare(seen(*sorted(places), label=label)).counts
        assert counts[1 - label] == 0
        assert 0 <= counts[label] <= len(places)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_a_catch_that_only_grows_is_counted_to_the_last_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, there, counted = board(*range(6)), 6, 0
    for _ in range(15):
        there = min(36, there + int(rng.poisson(2)))
        shown = [place for place in range(there) if rng.random() > 0.05]
        picture = seen(*shown, shift=tuple(rng.normal(0, 3, 2)))
        counted += new(one, picture)
    assert there - 6 - 3 <= counted <= there - 6


def test_a_window_shows_what_half_of_its_frames_show(tmp_path: Path) -> None:
    counter = CatchCounter(CLASSES, tmp_path)
    counter.update(seen(0, 1), 0.0)
    counter.take()
    for frame in range(10):
        counter.update(seen(0, 1, *([2] if frame != 4 else []), *([5] if frame == 3 else [])), float(frame))
    assert counter.take().counts.tolist() == [1, 0]


def test_the_class_in_a_window_is_the_one_most_voted_for(tmp_path: Path) -> None:
    counter = CatchCounter(CLASSES, tmp_path)
    counter.update(seen(), 0.0)
    counter.take()
    for frame in range(9):
        counter.update(seen(3, label=int(frame % 3 != 0)), float(frame))
    assert counter.take().counts.tolist() == [0, 1]


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = CatchCounter(CLASSES, tmp_path)
    first.update(seen(0, 1, 2), 0.0)
    assert first.take().counts.sum() == 0
    second = CatchCounter(CLASSES, tmp_path)
    second.update(seen(0, 1, 2, 3), 0.0)
    assert second.take().counts.tolist() == [1, 0]


def test_a_restart_in_a_night_without_a_lamp_counts_nobody_twice(tmp_path: Path) -> None:
    counted = []
    for places in (range(12), (), (), range(13)):
        counter = CatchCounter(CLASSES, tmp_path)
        counter.update(seen(*places), 0.0)
        counted.append(int(counter.take().counts.sum()))
    assert counted == [0, 0, 0, 1]


def test_what_a_model_with_other_classes_remembered_is_a_first_picture_again(tmp_path: Path) -> None:
    first = CatchCounter(3, tmp_path)
    first.update(seen(0), 0.0)
    first.take()
    second = CatchCounter(CLASSES, tmp_path)
    second.update(seen(0, 1), 0.0)
    assert second.take().counts.sum() == 0


def test_a_state_folder_that_can_not_be_written_stops_no_count(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    counter = CatchCounter(CLASSES, file / "state")
    counter.update(seen(0), 0.0)
    counter.take()
    counter.update(seen(0, 1), 1.0)
    assert counter.take().counts.tolist() == [1, 0]
