"""Results of a study: curves as Ultralytics wrote them, and what a report can't be made of."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from trap_contract.errors import DataError
from trap_training.studies.comparing import Comparison
from trap_training.studies.result import ArmComparison, StudyResult, read_curves

from training.studied import make_study

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def study() -> StudyResult:
    return make_study(resamples=2)


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines) + "\n")
    return file


def test_curves_are_the_columns_of_results_csv(tmp_path: Path):
    file = write(tmp_path / "results.csv", "epoch, time, train/box_loss", "1, 5.0, 3.5", "2, 9.5, 2.5")
    assert read_curves(file) == {"train/box_loss": (3.5, 2.5)}


def test_an_epoch_written_again_after_a_kill_counts_once(tmp_path: Path):
    file = write(tmp_path / "results.csv", "epoch,time,loss", "1,5,3", "2,9,2", "2,4,1.9", "3,8,1")
    assert read_curves(file) == {"loss": (3, 1.9, 1)}


def test_the_curves_of_a_retrained_network_go_on_with_gaps_where_a_column_is_new(tmp_path: Path):
    first = write(tmp_path / "first.csv", "epoch,time,loss", "1,5,3")
    second = write(tmp_path / "second.csv", "epoch,time,loss,taught", "1,5,2,0.5")
    curves = read_curves(first, second)
    assert curves["loss"] == (3, 2)
    assert math.isnan(curves["taught"][0])
    assert curves["taught"][1] == 0.5


@pytest.mark.parametrize("lines", [("epoch,loss", "1,much"), ("loss", "1"), ("epoch,loss", "1")])
def test_malformed_curves_are_named(tmp_path: Path, lines: tuple[str, ...]):
    with pytest.raises(DataError, match=r"results\.csv: not the curves"):
        read_curves(write(tmp_path / "results.csv", *lines))


def test_missing_curves_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent\.csv"):
        read_curves(tmp_path / "absent.csv")


def test_the_median_run_has_the_middle_score(study: StudyResult):
    scores = sorted(run.scores.map50_95 for run in study.arms["ours"])
    assert study.median_run("ours").scores.map50_95 == scores[1]


def test_the_teacher_is_asked_about_every_picture_of_a_taught_arm_and_none_of_a_normal_one(study: StudyResult):
    assert study.arms["ours"][0].teacher_share == 1
    assert study.arms["normal"][0].teacher_share == 0


def test_an_arm_without_a_run_is_named(study: StudyResult):
    with pytest.raises(DataError, match="arm native has no finished run"):
        replace(study, arms=study.arms | {"native": []}).check()


def test_a_comparison_of_an_arm_without_a_run_is_named(study: StudyResult):
    pair = ArmComparison("ours", "theirs", "map50", Comparison(0, 0, 0))
    with pytest.raises(DataError, match="compares theirs"):
        replace(study, comparisons=[pair]).check()


def test_a_study_without_arms_is_refused(study: StudyResult):
    with pytest.raises(DataError, match="has no arm"):
        replace(study, arms={}, comparisons=[]).check()
