"""Who teaches whom: every scheme trains, resumes and leaves a plain student."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pupil import write_network
from trap_contract.errors import ConfigError
from trap_training.pictures.rendering import render_dataset
from trap_training.recipe import Recipe
from trap_training.running import Run

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("quiet")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for _ in render_dataset(folder, {"train": 8, "val": 8}, 64, 0, 1):
        pass
    return folder / "data.yaml"


def run(folder: Path, data: Path, scheme: str, *, with_teacher: bool, **teaching: Any) -> dict[str, Any]:
    """The report of a run of the smallest networks, one epoch each."""
    network = str(write_network(folder))
    content = {
        "name": scheme,
        "data": str(data),
        "imgsz": 64,
        "student": {"model": network, "epochs": 1},
        "distillation": {"scheme": scheme, "terms": [{"term": "response"}], **teaching},
        "optimisation": {"batch": 8, "nbs": 8, "warmup_epochs": 0},
        "augmentation": {"close_mosaic": 0},
    }
    if with_teacher:
        content["teacher"] = {"model": network, "epochs": 1}
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(content))
    report = Run(Recipe.load(file), folder / "run", "cpu", 1).carry_out()
    return dict(json.loads(report.read_text()))


def last_row(folder: Path, part: str) -> dict[str, str]:
    with (folder / "run" / part / "results.csv").open() as file:
        return list(csv.DictReader(file))[-1]


def student_of(folder: Path) -> Any:
    return torch.load(folder / "run" / "student" / "weights" / "best.pt", weights_only=False)["model"]


def test_a_moving_average_teaches_without_another_network(tmp_path: Path, data: Path) -> None:
    report = run(tmp_path, data, "average", with_teacher=False)
    assert list(report["parts"]) == ["student"]
    assert float(last_row(tmp_path, "student")["train/response_loss"]) >= 0
    assert type(student_of(tmp_path)).__name__ == "DetectionModel"


def test_generations_are_taught_by_the_one_before(tmp_path: Path, data: Path) -> None:
    report = run(tmp_path, data, "born_again", with_teacher=False, rounds=2)
    assert list(report["parts"]) == ["generation1", "generation2", "student"]
    assert "train/response_loss" not in last_row(tmp_path, "generation1")
    assert "train/response_loss" in last_row(tmp_path, "generation2")


def test_student_and_teacher_teach_each_other_round_by_round(tmp_path: Path, data: Path) -> None:
    report = run(tmp_path, data, "co_distillation", with_teacher=True, rounds=2)
    assert list(report["parts"]) == ["teacher", "student"]
    assert "train/response_loss" not in last_row(tmp_path, "student1")
    assert "train/response_loss" in last_row(tmp_path, "teacher2")
    assert "train/response_loss" in last_row(tmp_path, "student2")


def test_two_networks_learn_from_each_other_on_the_same_batches(tmp_path: Path, data: Path) -> None:
    run(tmp_path, data, "mutual", with_teacher=True)
    row = last_row(tmp_path, "student")
    assert float(row["train/peer_loss"]) > float(row["train/box_loss"])
    student = student_of(tmp_path)
    assert type(student).__name__ == "DetectionModel"
    assert not hasattr(student, "peer")


def test_deep_layers_teach_shallow_ones_without_a_teacher(tmp_path: Path, data: Path) -> None:
    report = run(tmp_path, data, "within", with_teacher=False, terms=[{"term": "deep_to_shallow"}])
    assert list(report["parts"]) == ["student"]
    assert float(last_row(tmp_path, "student")["train/deep_to_shallow_loss"]) > 0
    assert not any(module._forward_hooks for module in student_of(tmp_path).modules())


@pytest.mark.parametrize(
    ("scheme", "teaching", "what"),
    [
        ("mutual", {"terms": [{"term": "hint"}]}, "term hint: its adapters lead one way"),
        ("within", {}, "scheme within has no teacher"),
        ("average", {"rounds": 2}, "has one round"),
        ("mutual", {"with_teacher": False}, "needs a teacher"),
    ],
)
def test_a_scheme_that_can_not_be_is_refused(
    tmp_path: Path, data: Path, scheme: str, teaching: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigError, match=what):
        run(tmp_path, data, scheme, **{"with_teacher": True, **teaching})
