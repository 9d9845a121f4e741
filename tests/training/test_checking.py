"""The check finds every fault that spoils training, and calls only those errors."""

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from trap_contract.dataset import DataSet
from trap_scene import render_picture
from trap_training.data_commands import app, main
from trap_training.pictures.checking import Findings, check_dataset
from typer.testing import CliRunner

GOOD = "0 0.5 0.5 0.2 0.2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A faultless data set of two classes: one train and one val picture."""
    add(tmp_path, "train", "good.png", GOOD, shade=10)
    add(tmp_path, "val", "other.png", GOOD, shade=20)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [Female, Male]\n")
    return tmp_path


def add(folder: Path, split: str, name: str, label: str, shade: int = 90) -> Path:
    picture = folder / "images" / split / name
    text = folder / "labels" / split / Path(name).with_suffix(".txt")
    for place in (picture, text):
        place.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(picture), np.full((100, 100, 3), shade, np.uint8))
    text.write_text(label)
    return picture


def add_scene(folder: Path, split: str, name: str, *, seed: int = 1) -> Path:
    """A rendered picture as it is (.png) or compressed (.jpg)."""
    picture = add(folder, split, name, GOOD)
    cv2.imwrite(str(picture), render_picture(np.random.default_rng(seed), 128, 128).pixels)
    return picture


def check(folder: Path) -> Findings:
    findings = Findings()
    for _ in check_dataset(DataSet.load(folder / "data.yaml"), findings):
        pass
    return findings


def command(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["check", *arguments])
    return result.exit_code, json.loads(result.stdout)


def test_a_faultless_data_set_is_clean_and_counted(folder: Path) -> None:
    findings = check(folder)
    assert findings.faults == []
    assert findings.is_clean
    assert findings.pictures == {"train": 1, "val": 1}
    assert findings.boxes == {"train": {"Female": 1}, "val": {"Female": 1}}


@pytest.mark.parametrize(
    ("label", "what"),
    [
        ("2 0.5 0.5 0.2 0.2\n", "class 2 is not among the 2 names"),
        ("0 0.95 0.5 0.2 0.2\n", "a box reaches outside the picture"),
        ("0 0.5 -0.1 0.1 0.1\n", "a box reaches outside the picture"),
        ("0 0.5 0.5 0 0.2\n", "a box has no area"),
        (GOOD + GOOD, "a box is given twice"),
        (GOOD + "0 0.5 0.5\n", ":2: expected 'class x y width height'"),
    ],
)
def test_a_spoilt_label_is_an_error(folder: Path, label: str, what: str) -> None:
    picture = add(folder, "train", "bad.png", label)
    findings = check(folder)
    (fault,) = findings.faults
    assert fault.file == picture.resolve()
    assert what in fault.what
    assert not findings.is_clean


def test_a_tiny_box_is_a_warning(folder: Path) -> None:
    add(folder, "train", "tiny.png", "0 0.5 0.5 0.03 0.2\n")
    findings = check(folder)
    assert [fault.what for fault in findings.faults] == ["a box is under 4 px"]
    assert findings.is_clean


def test_an_unreadable_picture_is_an_error_and_the_rest_is_still_checked(folder: Path) -> None:
    (folder / "images" / "train" / "a_broken.png").write_bytes(b"not a picture")
    add(folder, "train", "bad.png", "7 0.5 0.5 0.2 0.2\n")
    assert [fault.what for fault in check(folder).faults] == [
        "can't be read as a picture",
        "class 7 is not among the 2 names",
    ]


def test_the_same_picture_on_two_sides_is_an_error(folder: Path) -> None:
    add(folder, "val", "leak.png", GOOD, shade=10)
    (fault,) = check(folder).faults
    assert fault.file.name == "leak.png"
    assert "good.png in split train" in fault.what
    assert fault.is_error


def test_the_same_picture_twice_on_one_side_is_a_warning(folder: Path) -> None:
    add(folder, "train", "twin.png", GOOD, shade=10)
    findings = check(folder)
    assert [fault.is_error for fault in findings.faults] == [False]


@pytest.mark.parametrize(
    ("one", "other", "is_error"),
    [
        ("train", "val", True),
        ("val", "test", True),
        ("train", "train", False),
        ("train", "unlabelled", False),
        ("val", "unlabelled", True),
        ("test", "unlabelled", True),
    ],
)
def test_nearly_the_same_picture_is_an_error_where_it_spoils_a_score(
    tmp_path: Path, one: str, other: str, is_error: bool
) -> None:
    add_scene(tmp_path, one, "a.png")
    late = add_scene(tmp_path, other, "b.jpg")
    places = "".join(f"{split}: images/{split}\n" for split in {one, other})
    (tmp_path / "data.yaml").write_text(f"{places}names: [a]\n")
    (fault,) = check(tmp_path).faults
    assert (fault.file, fault.is_error) == (late.resolve(), is_error)
    assert fault.what.startswith("nearly the same picture is ")
    assert fault.what.endswith(f"a.png in split {one}")


def test_of_several_pictures_nearly_the_same_the_one_on_the_other_side_is_named(folder: Path) -> None:
    add_scene(folder, "train", "a.png")
    add_scene(folder, "val", "b.jpg")
    cv2.imwrite(str(add(folder, "val", "c.webp", GOOD)), cv2.imread(str(folder / "images" / "train" / "a.png")))
    assert [f.what.split("/")[-1] for f in check(folder).faults] == ["a.png in split train"] * 2


def test_labels_of_unlabelled_pictures_are_not_looked_at(folder: Path) -> None:
    add_scene(folder, "unlabelled", "a.png")
    (folder / "labels" / "unlabelled" / "a.txt").write_text("nonsense")
    with (folder / "data.yaml").open("a") as description:
        description.write("unlabelled: images/unlabelled\n")
    findings = check(folder)
    assert findings.faults == []
    assert findings.pictures["unlabelled"] == 1
    assert findings.boxes["unlabelled"] == {}


def test_the_command_compares_a_folder_of_unlabelled_pictures(folder: Path) -> None:
    add_scene(folder, "val", "a.png")
    leak = add_scene(folder, "pool", "b.jpg")
    code, found = command(str(folder), "--unlabelled", str(leak.parent), "--json")
    assert code == 1
    assert [fault["file"] for fault in found["faults"]] == [str(leak.resolve())]
    assert found["pictures"]["unlabelled"] == 1


def test_a_box_on_the_border_is_not_outside(folder: Path) -> None:
    add(folder, "train", "edge.png", "1 0.1 0.9 0.2 0.2\n")
    assert check(folder).faults == []


def test_the_command_prints_json_and_exits_0_when_clean(folder: Path) -> None:
    code, found = command(str(folder), "--json")
    assert code == 0
    assert found == {
        "pictures": {"train": 1, "val": 1},
        "boxes": {"train": {"Female": 1}, "val": {"Female": 1}},
        "faults": [],
    }


def test_the_command_exits_1_on_errors(folder: Path) -> None:
    picture = add(folder, "train", "bad.png", GOOD + GOOD)
    code, found = command(str(folder / "data.yaml"), "--json")
    assert code == 1
    assert found["faults"] == [{"file": str(picture.resolve()), "what": "a box is given twice", "error": True}]


def test_a_folder_without_a_description_is_checked_with_names(folder: Path) -> None:
    (folder / "data.yaml").unlink()
    code, found = command(str(folder), "--names", "Female, Male", "--json")
    assert (code, found["boxes"]["val"]) == (0, {"Female": 1})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["check", "gone.yaml"], "gone.yaml: no such data set description"),
        (["check", "."], "has no data.yaml: give the class names with --names"),
        (["check", "evil.yaml"], "evil.yaml: has a 'download:' entry"),
        (["split", ".", "--names", "a", "--out", "out", "--ratios", "60/40"], "--ratios '60/40': give three numbers"),
        (["tile", ".", "--names", "a", "--out", "out", "--size", "64"], "tile size 64 px must be above the overlap"),
        (["import", "gone", "--out", "out"], "gone: no such file or folder"),
        (["split", ".", "--names", "a", "--out", "."], "exists and is not an empty folder"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_wrong_command_ends_in_one_line(
    tmp_path: Path,
    arguments: list[str],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "evil.yaml").write_text("train: images\nnames: [a]\ndownload: import os\n")
    if arguments[0] != "check":
        add(tmp_path, ".", "p.png", GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["trap-data", *arguments])
    with pytest.raises(SystemExit, match="1"):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert complaint in line
    assert not (tmp_path / "out").exists()
