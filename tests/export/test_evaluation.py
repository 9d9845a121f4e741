"""Measuring: what is perfect, what is nothing, and that every insect is accounted for."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.dataset import DataSet
from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.errors import DataError
from trap_export.evaluation import Scored, best_threshold, confusion, measure, score_pictures

NAMES = ("a", "b", "c")
pytestmark = pytest.mark.usefixtures("quiet")


def detections(*rows: tuple[float, float, float, int], side: float = 10) -> Detections:
    """Square boxes from x, y, score and class."""
    table = np.array(rows, np.float32).reshape(-1, 4)
    boxes = np.concatenate([table[:, :2], table[:, :2] + side], axis=1)
    return Detections(boxes, table[:, 2], table[:, 3].astype(np.int64))


def random_scored(seed: int) -> list[Scored]:
    """Five pictures with truths on a grid and findings near them, of any class and score, some of nothing."""
    rng = np.random.default_rng(seed)
    scored = []
    for _ in range(5):
        spots = rng.permutation(25)[: rng.integers(0, 8)]
        truth = [(20.0 * (s % 5), 20.0 * (s // 5), 1.0, int(rng.integers(3))) for s in spots]
        found = [
            (20.0 * (s % 5) + rng.uniform(-6, 6), 20.0 * (s // 5), rng.uniform(), int(rng.integers(3)))
            for s in rng.permutation(25)[: rng.integers(0, 12)]
        ]
        rows = detections(*found)
        scored.append(Scored(rows.take(np.argsort(-rows.scores)), detections(*truth)))
    return scored


def test_perfect_findings_score_one() -> None:
    truth = detections((0, 0, 1, 0), (50, 50, 1, 2))
    metrics = measure([Scored(truth, truth)] * 3, NAMES, 0.5, 0.5)
    assert (metrics.map50, metrics.map50_95) == pytest.approx((0.995, 0.995))
    assert set(metrics.classes) == {"a", "c"}  # a class without an insect is not averaged in
    assert metrics.pictures == 3


def test_finding_nothing_scores_zero() -> None:
    metrics = measure([Scored(Detections.empty(), detections((0, 0, 1, 1)))], NAMES, 0.5, 0.5)
    assert (metrics.map50, metrics.map50_95) == (0, 0)
    assert metrics.classes["b"].map50 == 0


def test_pictures_without_any_insect_have_no_classes() -> None:
    metrics = measure([Scored(detections((0, 0, 0.9, 0)), Detections.empty())], NAMES, 0.5, 0.5)
    assert (metrics.map50, metrics.classes) == (0, {})
    assert metrics.confusion[3] == (1, 0, 0, 0)


def test_the_right_place_with_the_wrong_class_scores_zero() -> None:
    metrics = measure([Scored(detections((0, 0, 0.9, 1)), detections((0, 0, 1, 0)))], NAMES, 0.5, 0.5)
    assert metrics.map50 == 0
    assert metrics.confusion[0] == (0, 1, 0, 0)


def test_a_looser_box_counts_at_fewer_overlaps() -> None:
    truth, found = detections((0, 0, 1, 0)), detections((2, 0, 0.9, 0))  # intersection over union 2/3
    metrics = measure([Scored(found, truth)], NAMES, 0.5, 0.5)
    assert metrics.map50 == pytest.approx(0.995)
    assert metrics.map50_95 == pytest.approx(0.995 * 4 / 10)  # at 0.50, 0.55, 0.60 and 0.65


def test_an_insect_found_twice_is_right_once() -> None:
    twice = detections((0, 0, 0.9, 0), (1, 0, 0.8, 0), (50, 50, 0.7, 0))
    truth = detections((0, 0, 1, 0), (50, 50, 1, 0))
    assert measure([Scored(twice, truth)], NAMES, 0.5, 1.0).map50 < 0.9
    assert confusion([Scored(twice, truth)], 3, 0.5, 1.0)[3, 0] == 1


@given(st.integers(0, 10_000), st.floats(0.05, 0.95))
def test_rows_of_the_confusion_matrix_are_the_insects_there_are(seed: int, threshold: float) -> None:
    scored = random_scored(seed)
    matrix = confusion(scored, 3, threshold, 0.5)
    truth = np.concatenate([one.truth.classes for one in scored])
    assert matrix[:3].sum(axis=1).tolist() == np.bincount(truth, minlength=3).tolist()
    assert matrix[3, 3] == 0


@given(st.integers(0, 10_000), st.floats(0.05, 0.95))
def test_columns_of_the_confusion_matrix_are_what_the_trap_reports(seed: int, threshold: float) -> None:
    scored = random_scored(seed)
    matrix = confusion(scored, 3, threshold, 1.0)  # suppression that keeps every box
    found = np.concatenate([one.found.classes[one.found.scores >= threshold] for one in scored])
    assert matrix[:, :3].sum(axis=0).tolist() == np.bincount(found, minlength=3).tolist()


def test_the_best_threshold_lies_between_the_wrong_and_the_right() -> None:
    truth = detections((0, 0, 1, 0), (50, 50, 1, 1))
    found = detections((0, 0, 0.9, 0), (50, 50, 0.6, 1), (80, 80, 0.3, 0))
    assert 0.3 < best_threshold([Scored(found, truth)]) <= 0.6


def test_a_bundle_of_other_classes_than_the_data_s_is_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text("val: images\nnames: [a, b, c]\n")
    with pytest.raises(DataError, match=r"data\.yaml: its classes \('a', 'b', 'c'\) are not the bundle's"):
        next(score_pictures(Detector.load(bundles["onnx-float32"]), DataSet.load(file), "val"))


def test_an_unreadable_picture_is_named(bundles: dict[str, Path], discs: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "broken.png").write_bytes(b"no picture")
    file = tmp_path / "data.yaml"
    file.write_text(f"val: images\nnames: [{', '.join(DataSet.load(discs).names)}]\n")
    with pytest.raises(DataError, match=r"broken\.png: can't be read as a picture"):
        next(score_pictures(Detector.load(bundles["onnx-float32"]), DataSet.load(file), "val"))
