"""Contact sheets show every class, and the boxes where they are."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.dataset import UNLABELLED, DataSet, write_description
from trap_contract.errors import DataError
from trap_training.pictures.sheets import PICTURES, choose, draw_sheets

contents = st.lists(st.lists(st.sampled_from("abc"), max_size=3), max_size=30)


@given(contents, st.integers(0, 25), st.integers(0, 99))
def test_as_many_pictures_are_chosen_as_there_is_room_for_and_none_twice(
    found: list[list[str]], count: int, seed: int
) -> None:
    chosen = choose(found, count, np.random.default_rng(seed))
    assert len(chosen) == len(set(chosen)) == min(count, len(found))


@given(contents, st.integers(3, 25), st.integers(0, 99))
def test_every_class_is_shown_and_empty_pictures_come_last(found: list[list[str]], count: int, seed: int) -> None:
    chosen = choose(found, count, np.random.default_rng(seed))
    assert {name for place in chosen for name in found[place]} == {name for names in found for name in names}
    is_empty = [not found[place] for place in chosen]
    assert is_empty == sorted(is_empty)


def test_a_rare_class_is_shown_as_often_as_a_common_one() -> None:
    found = [["Female"]] * 500 + [["Male"]] * 10
    chosen = choose(found, PICTURES, np.random.default_rng(0))
    assert Counter(found[place][0] for place in chosen) == {"Female": 10, "Male": 10}


def test_a_seed_names_one_sample() -> None:
    samples = [choose([["a"]] * 90, 9, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]


def test_a_sheet_is_drawn_for_every_labelled_split(discs: Path, tmp_path: Path) -> None:
    data = DataSet.load(discs)
    assert [file.name for file in draw_sheets(data, tmp_path, 0)] == ["sheet_train.jpg", "sheet_val.jpg"]
    sheet = cv2.imread(str(tmp_path / "sheet_train.jpg"))
    assert sheet.shape[1] == 1760
    assert sheet.std() > 20


def test_unlabelled_pictures_have_no_sheet_and_a_box_is_drawn_in_the_colour_of_its_class(tmp_path: Path) -> None:
    for split in ("val", UNLABELLED):
        (tmp_path / "images" / split).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "images" / split / "a.png"), np.full((50, 50, 3), 128, np.uint8))
    (tmp_path / "labels" / "val").mkdir(parents=True)
    (tmp_path / "labels" / "val" / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    data = DataSet.load(write_description(tmp_path, ("Female", "Male"), ("val", UNLABELLED)))
    assert [file.name for file in draw_sheets(data, tmp_path, 0)] == ["sheet_val.jpg"]
    sheet = cv2.imread(str(tmp_path / "sheet_val.jpg"))[200:].astype(int)  # without the legend
    orange = abs(sheet - (14, 127, 255)).max(axis=2) < 40
    rows, columns = np.nonzero(orange)
    assert np.ptp(columns) == pytest.approx(sheet.shape[1] / 2, rel=0.05)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), rel=0.05)


def test_a_class_without_a_name_is_refused(discs: Path, tmp_path: Path) -> None:
    data = DataSet.load(discs)
    with pytest.raises(DataError, match="is not among the 1 names"):
        list(draw_sheets(DataSet(data.file, ("Female",), data.splits), tmp_path, 0))
