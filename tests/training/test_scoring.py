"""Scoring: Ultralytics' own numbers, kept picture by picture."""

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discs import CLASSES
from trap_contract.dataset import DataSet, read_labels
from trap_contract.errors import DataError
from trap_training.studies.scoring import Scores, score

from training.scored import make_scores

SIDE = 64
pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def scores(student: Path, discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Scores:
    return score(student, discs, "val", CLASSES, SIDE, folder=tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def stock(student: Path, discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What Ultralytics itself says of the same network and pictures."""
    from ultralytics import YOLO

    place = {"project": str(tmp_path_factory.mktemp("stock")), "plots": False, "workers": 0}
    return YOLO(str(student)).val(data=str(discs), imgsz=SIDE, rect=False, device="cpu", **place)


def test_scores_are_those_of_ultralytics_own_validation(scores: Scores, stock: Any):
    means = [scores.precision, scores.recall, scores.map50, scores.map50_95]
    assert 0.2 < scores.map50_95 < 1
    assert means == pytest.approx(stock.box.mean_results(), abs=1e-6)


def test_scores_of_each_class_are_those_of_ultralytics(scores: Scores, stock: Any):
    for row, place in enumerate(stock.box.ap_class_index):
        one = scores.classes[CLASSES[place]]
        assert (one.precision, one.recall, one.map50, one.map50_95) == pytest.approx(stock.box.class_result(row))


def test_every_picture_and_every_insect_is_counted_once(scores: Scores, discs: Path):
    pictures = DataSet.load(discs).pictures("val")
    assert scores.pictures == tuple(picture.name for picture in pictures)
    for place, picture in enumerate(pictures):
        assert sorted(scores.truth[scores.truth_in == place]) == sorted(read_labels(picture).classes)


def test_each_row_of_the_confusion_matrix_has_the_insects_of_its_class(scores: Scores):
    assert scores.confusion[:-1].sum(axis=1).tolist() == np.bincount(scores.truth, minlength=len(CLASSES)).tolist()
    assert scores.confusion[:, :-1].sum() == (scores.confidences > 0.25).sum()


def test_most_of_what_a_trained_network_finds_is_on_the_diagonal(scores: Scores):
    assert scores.confusion.trace() > 0.7 * len(scores.truth)


def test_saved_scores_are_read_back_unchanged(scores: Scores, tmp_path: Path):
    scores.save(tmp_path / "new" / "scores.npz")
    again = Scores.load(tmp_path / "new" / "scores.npz")
    for field in fields(Scores):
        assert np.array_equal(getattr(again, field.name), getattr(scores, field.name))
    assert again.classes == scores.classes
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["scores.npz"]


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_a_damaged_score_file_is_named(tmp_path: Path, damage: bytes | None):
    file = tmp_path / "scores.npz"
    make_scores(0.5, seed=0).save(file)
    file.write_bytes(file.read_bytes()[:-200] if damage is None else damage)
    with pytest.raises(DataError, match=r"scores\.npz: not the scores of a network"):
        Scores.load(file)


def test_a_network_of_other_classes_is_refused(student: Path, discs: Path, tmp_path: Path):
    with pytest.raises(DataError, match="its classes"):
        score(student, discs, "val", CLASSES[::-1], SIDE, folder=tmp_path)


def test_a_picture_that_ultralytics_would_skip_is_an_error(student: Path, discs: Path, tmp_path: Path):
    shutil.copytree(discs.parent, tmp_path / "copy")
    (tmp_path / "copy" / "images" / "val" / "003.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"1 pictures of val can't be read, the first is 003\.png"):
        score(student, tmp_path / "copy" / discs.name, "val", CLASSES, SIDE, folder=tmp_path / "scratch")


def test_a_network_that_finds_nothing_scores_zero():
    assert make_scores(0.0, seed=0).map50 == 0
    assert make_scores(0.0, seed=0).precision == 0
