"""Recipes: what is wrong is named, and paths are the recipe's own."""

from pathlib import Path

import pytest
from trap_contract.errors import ConfigError
from trap_training.recipe import Recipe

PLAIN = "name: plain\ndata: data.yaml\nstudent: {model: yolov8n.yaml, epochs: 3}\n"
SHIPPED = sorted((Path(__file__).resolve().parents[2] / "training" / "recipes").glob("*.yaml"))


def write(folder: Path, text: str) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("epoch: 5", "epoch"),
        ("student: {model: n.yaml, epochs: 3, lr: 1}", r"student\.lr"),
        ("optimisation: {lr: 0.1}", r"optimisation\.lr"),
        ("augmentation: {mosiac: 1}", r"augmentation\.mosiac"),
        ("distillation: {temperature: 4}", r"distillation\.temperature"),
    ],
)
def test_an_unknown_key_is_named(tmp_path: Path, line: str, place: str) -> None:
    text = "".join(kept + "\n" for kept in PLAIN.splitlines() if kept.split(":")[0] != line.split(":", maxsplit=1)[0])
    with pytest.raises(ConfigError, match=rf"recipe\.yaml: recipe is wrong at {place}: Extra inputs"):
        Recipe.load(write(tmp_path, f"{text}{line}\n"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("data: d.yaml\nstudent: {model: n.yaml, epochs: 3}", "name"),
        ("name: ../up\ndata: d.yaml\nstudent: {model: n.yaml, epochs: 3}", "name"),
        ("name: a\ndata: d.yaml", "student"),
        ("name: a\ndata: d.yaml\nstudent: {model: n.onnx, epochs: 3}", r"student\.model"),
        ("name: a\ndata: d.yaml\nstudent: {model: n.yaml, epochs: 0}", r"student\.epochs"),
        ("- just\n- a list", "its start"),
        ("", "its start"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=rf"recipe\.yaml: recipe is wrong at {place}: "):
        Recipe.load(write(tmp_path, text))


def test_distillation_without_a_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"wrong at distillation: .*needs a teacher: add one, or remove distillation"):
        Recipe.load(write(tmp_path, PLAIN + "distillation: {}\n"))


def test_a_teacher_may_come_after_its_distillation_in_the_file(tmp_path: Path) -> None:
    recipe = Recipe.load(write(tmp_path, PLAIN + "distillation: {}\nteacher: {model: s.yaml, epochs: 1}\n"))
    assert recipe.distillation is not None


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such recipe"):
        Recipe.load(tmp_path / "gone.yaml")


@pytest.mark.parametrize("content", [b"name: [", b"\xff\xfe\x00"])
def test_what_is_not_yaml_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"recipe\.yaml: not YAML"):
        Recipe.load(tmp_path / "recipe.yaml")


def test_data_and_models_with_a_folder_are_the_recipe_s_own(tmp_path: Path) -> None:
    text = (
        "name: a\ndata: ../d.yaml\nteacher: {model: nets/s.yaml, epochs: 1}\nstudent: {model: yolov8n.yaml, epochs: 1}"
    )
    recipe = Recipe.load(write(tmp_path, text))
    assert recipe.data == tmp_path / "../d.yaml"
    assert recipe.teacher is not None
    assert recipe.teacher.model == str(tmp_path / "nets/s.yaml")
    assert recipe.student.model == "yolov8n.yaml"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_shipped_recipe_is_valid(file: Path) -> None:
    assert Recipe.load(file).name == file.stem


def test_a_teacher_of_no_epochs_must_be_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.epochs: .*0 epochs need a trained checkpoint"):
        Recipe.load(write(tmp_path, PLAIN + "teacher: {model: yolov8s.yaml, epochs: 0}\n"))
    assert Recipe.load(write(tmp_path, PLAIN + "teacher: {model: ./best.pt, epochs: 0}\n")).teacher is not None


def test_a_student_of_no_epochs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a student of 0 epochs learns nothing"):
        Recipe.load(write(tmp_path, "name: a\ndata: d.yaml\nstudent: {model: ./best.pt, epochs: 0}\n"))
