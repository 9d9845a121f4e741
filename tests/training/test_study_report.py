"""The report of a study: its keys, and sentences that follow from its numbers."""

import json
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trap_training.studies.comparing import Comparison
from trap_training.studies.report import answer, as_markdown, class_order, report_study
from trap_training.studies.result import ArmComparison, StudyResult

from training.studied import ARMS, TRAIN_PICTURES, make_study

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(scope="module")
def study() -> StudyResult:
    return make_study()


@pytest.fixture(scope="module")
def folder(study: StudyResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "made-up"
    assert report_study(study, folder) == folder / "report.md"
    return folder


@pytest.fixture
def content(folder: Path) -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return numbers


@pytest.fixture
def text(folder: Path) -> str:
    return (folder / "report.md").read_text()


def rows_of(text: str, section: str) -> list[list[str]]:
    """The cells of every table row of a section, heads and rules left out."""
    lines = text.split(f"## {section}\n")[1].split("\n## ", maxsplit=1)[0].splitlines()
    tables = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [cells for cells, rule in zip(tables, [*tables[1:], [""]], strict=True) if "---" not in cells + rule]


def test_every_run_is_in_the_json_with_the_keys_that_others_compute_with(content: dict[str, Any], study: StudyResult):
    assert list(content["arms"]) == list(ARMS)
    for arm, runs in study.arms.items():
        for run, told in zip(runs, content["arms"][arm]["runs"], strict=True):
            assert (told["seed"], told["map50"], told["map50_95"]) == (run.seed, run.scores.map50, run.scores.map50_95)
            assert (told["seconds"], told["images_seen"]) == (run.seconds, run.images_seen)
            assert set(told["classes"]) == set(run.scores.names)
            assert all({"map50", "map50_95"} <= set(one) for one in told["classes"].values())


def test_comparisons_are_in_the_json_as_fractions(content: dict[str, Any], study: StudyResult):
    for told, pair in zip(content["comparisons"], study.comparisons, strict=True):
        assert told == {
            "a": pair.a, "b": pair.b, "metric": "map50_95",
            "delta": pair.found.delta, "low": pair.found.low, "high": pair.found.high,
        }  # fmt: skip


def test_an_interval_above_zero_is_told_as_above():
    pair = ArmComparison("ours", "normal", "map50_95", Comparison(0.021, 0.004, 0.035))
    assert answer(pair) == (
        "**ours is 2.10 points of mAP50-95 above normal**; 95 % interval +0.40 to +3.50 excludes zero."
    )


def test_an_interval_below_zero_is_told_as_below():
    pair = ArmComparison("ours", "normal", "map50", Comparison(-0.021, -0.03, -0.01))
    assert answer(pair).startswith("**ours is 2.10 points of mAP50 below normal**")


def test_an_interval_around_zero_is_told_as_no_difference_however_large_the_delta():
    pair = ArmComparison("ours", "normal", "map50_95", Comparison(0.09, -0.001, 0.2))
    assert "no difference shown" in answer(pair)
    assert "includes zero" in answer(pair)


def test_the_answer_comes_before_everything_else(text: str, study: StudyResult):
    lines = [line for line in text.splitlines() if line][1 : 1 + len(study.comparisons)]
    assert lines == [f"- {answer(pair)}" for pair in study.comparisons]


def test_each_arm_has_its_mean_and_deviation(text: str, study: StudyResult):
    told = {cells[0]: cells[2] for cells in rows_of(text, "Arms")}
    for arm, runs in study.arms.items():
        values = [run.scores.map50_95 for run in runs]
        assert told[arm] == f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"
    assert told["*teacher*"] == f"{study.teacher.scores.map50_95:.3f}"


def test_female_and_male_come_first(text: str):
    assert class_order(["Other", "Male", "Female"]) == ["Female", "Male", "Other"]
    head = next(line for line in text.split("## Classes")[1].splitlines() if line.startswith("| mAP50-95"))
    assert re.findall(r"\w+ \(", head) == ["Female (", "Male (", "Undefined ("]


def test_compute_is_told_and_a_longer_trained_arm_is_warned_of(study: StudyResult):
    a, b = study.arms["ours_retrained"], study.arms["normal"]
    found = Comparison(0.05, 0.04, 0.06)
    result = replace(study, comparisons=[ArmComparison("ours_retrained", "normal", "map50_95", found)])
    text = as_markdown(result, [])
    assert "at equal compute: it had 1.50 times the pictures" in text
    told = {cells[0]: cells[2] for cells in rows_of(text, "Compute")}
    assert told["ours_retrained"] == f"{30 * TRAIN_PICTURES:,}"
    ratio = statistics.fmean(run.seconds for run in a) / statistics.fmean(run.seconds for run in b)
    assert f"| 1.50 | {ratio:.2f} |" in text


def test_an_arm_that_costs_as_much_as_the_other_is_not_warned_of(study: StudyResult):
    same = ArmComparison("normal", "normal", "map50_95", Comparison(0, 0, 0))
    assert "equal compute" not in as_markdown(replace(study, comparisons=[same]), [])


def test_teacher_stands_beside_the_students(text: str):
    told = {cells[0]: cells for cells in rows_of(text, "Teacher and student")}
    assert list(told) == ["*teacher*", *ARMS]
    assert told["ours"][2:6] == ["129", "3,011,823", "8.20", "6.2"]


def test_every_sample_is_listed(text: str, study: StudyResult):
    assert [cells[:2] for cells in rows_of(text, "All samples")] == [
        *([run.arm, str(run.seed)] for run in study.runs), ["teacher", "0"],
    ]  # fmt: skip


def test_command_versions_machine_settings_and_limits_are_told(text: str, study: StudyResult):
    for part in (study.command, "ultralytics 8.4.190", study.machine, study.settings, *study.limits, study.question):
        assert part in text


def test_every_picture_that_is_shown_is_there_and_small(folder: Path, text: str):
    shown = re.findall(r"\]\((.+?)\)", text)
    assert sorted(shown) == sorted(file.name for file in folder.glob("*.png"))
    assert len(shown) == 5
    assert max((folder / name).stat().st_size for name in shown) <= 150_000


def test_a_study_of_one_arm_with_one_seed_and_no_teacher_is_reported(study: StudyResult, tmp_path: Path):
    run = replace(study.arms["normal"][0], curves={})
    report = report_study(replace(study, arms={"normal": [run]}, teacher=None, comparisons=[]), tmp_path)
    assert f"| normal | 1 | {run.scores.map50_95:.3f} |" in report.read_text()
    assert not (tmp_path / "curves.png").exists()
