"""Calibration pictures: from train alone, always the same, spread over what there is."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from discs import write_discs
from pupil import SIDE
from trap_contract.dataset import DataSet, read_labels
from trap_contract.errors import DataError
from trap_export.calibration import choose_calibration, load_calibration


def test_only_train_pictures_are_chosen_and_each_once(discs: Path) -> None:
    data = DataSet.load(discs)
    chosen = choose_calibration(data, 33)
    assert len(chosen) == len(set(chosen)) == 33
    assert set(chosen) <= set(data.pictures("train"))


def test_no_more_are_chosen_than_there_are(discs: Path) -> None:
    data = DataSet.load(discs)
    assert sorted(choose_calibration(data, 1000)) == data.pictures("train")


def test_another_val_split_changes_nothing(discs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(discs.parent, folder)
    shutil.rmtree(folder / "images" / "val")
    shutil.rmtree(folder / "labels" / "val")
    first, second = (DataSet.load(file) for file in (discs, folder / "data.yaml"))
    names = [[picture.name for picture in choose_calibration(data, 33)] for data in (first, second)]
    assert names[0] == names[1]


def test_the_same_pictures_make_the_same_digest_and_others_another(discs: Path) -> None:
    data = DataSet.load(discs)
    one, again = (load_calibration(choose_calibration(data, 33), SIDE, SIDE) for _ in range(2))
    other = load_calibration(choose_calibration(data, 34), SIDE, SIDE)
    assert one.digest == again.digest != other.digest
    assert np.array_equal(one.pictures, again.pictures)


def test_every_class_and_brightness_is_among_the_chosen(tmp_path: Path) -> None:
    data = DataSet.load(write_discs(tmp_path / "many", train=80, val=1))
    for number, picture in enumerate(data.pictures("train")[:40]):
        cv2.imwrite(str(picture), np.asarray(cv2.imread(str(picture))) // (1 + number % 4))
    chosen = choose_calibration(data, 32)
    assert {int(name) for picture in chosen for name in read_labels(picture).classes} == set(range(5))
    levels = [float(np.mean(cv2.imread(str(picture)))) for picture in chosen]
    assert min(levels) < 50
    assert max(levels) > 100


def test_pictures_are_rgb_between_0_and_1_as_the_model_sees_them(tmp_path: Path) -> None:
    picture = tmp_path / "blue.png"
    cv2.imwrite(str(picture), np.full((SIDE, SIDE, 3), (255, 51, 0), np.uint8))
    tensor = load_calibration([picture], SIDE, SIDE).pictures
    assert (tensor.shape, tensor.dtype) == ((1, SIDE, SIDE, 3), np.float32)
    assert tensor[0, 0, 0].tolist() == pytest.approx([0, 0.2, 1])


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png: can't be read as a picture"):
        load_calibration([broken], SIDE, SIDE)
