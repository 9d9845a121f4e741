"""YOLO texts in the layouts of Ultralytics, Roboflow, darknet and CVAT."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import ConfigError, DataError
from trap_training.pictures.importing import Format
from trap_training.pictures.yolo import read_yolo

from training.foreign_sets import add_picture, imported, refusal

LINE = "1 0.5 0.5 0.5 0.5\n"
BOX = [("Male", [10, 5, 30, 15])]
NAMES = "names: [Female, Male]\n"


def add(picture: Path, label: Path, text: str = LINE) -> None:
    add_picture(picture)
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text(text)


def test_the_ultralytics_layout(tmp_path: Path) -> None:
    for split in ("train", "val"):
        add(tmp_path / "images" / split / "a.png", tmp_path / "labels" / split / "a.txt")
    (tmp_path / "set.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\n{NAMES}")
    summary, found = imported(tmp_path, tmp_path / "out")
    assert summary.format == Format.YOLO
    assert found == {"train/a.png": BOX, "val/a.png": BOX}


def test_roboflows_places_begin_a_folder_too_high(tmp_path: Path) -> None:
    lines = []
    for split, folder in (("train", "train"), ("val", "valid")):
        add(tmp_path / folder / "images" / "a.png", tmp_path / folder / "labels" / "a.txt")
        lines.append(f"{split}: ../{folder}/images\n")
    (tmp_path / "data.yaml").write_text(f"{''.join(lines)}nc: 2\n{NAMES}roboflow: {{version: 9}}\n")
    assert imported(tmp_path, tmp_path / "out")[1] == {"train/a.png": BOX, "val/a.png": BOX}


def test_darknet_with_lists_as_cvat_writes_them(tmp_path: Path) -> None:
    add(tmp_path / "obj_train_data" / "a.png", tmp_path / "obj_train_data" / "a.txt")
    (tmp_path / "obj.names").write_text("Female\nMale\n")
    (tmp_path / "train.txt").write_text("data/obj_train_data/a.png\n")
    assert imported(tmp_path, tmp_path / "out")[1] == {"train/a.png": BOX}


def test_darknet_as_roboflow_writes_it(tmp_path: Path) -> None:
    for folder in ("train", "test"):
        add(tmp_path / folder / "a.png", tmp_path / folder / "a.txt")
        (tmp_path / folder / "_darknet.labels").write_text("Female\nMale\n")
    assert imported(tmp_path, tmp_path / "out")[1] == {"train/a.png": BOX, "test/a.png": BOX}


def test_folders_without_a_file_of_names_need_names(tmp_path: Path) -> None:
    add(tmp_path / "images" / "a.png", tmp_path / "labels" / "a.txt")
    assert imported(tmp_path, tmp_path / "out", names=("Female", "Male"))[1] == {"train/a.png": BOX}
    with pytest.raises(ConfigError, match="no file names the classes: give --names"):
        read_yolo(tmp_path, ())


def test_outlines_become_boxes_and_are_counted(tmp_path: Path) -> None:
    add(tmp_path / "a.png", tmp_path / "a.txt", "0 0.25 0.25 0.75 0.5 0.5 0.75\n0 0 0 .5 0 .5 .5 0 .5\n")
    summary, found = imported(tmp_path, tmp_path / "out", names=("Female",))
    assert found == {"train/a.png": [("Female", [10, 5, 30, 15]), ("Female", [0, 0, 20, 10])]}
    assert summary.tally.outlines == 2


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1 0.5 0.5 0.5", "expected 'class x y width height'"),
        ("1 0.5 0.5 0.5 0.5 0.9", "expected 'class x y width height'"),
        ("1 0.5 nan 0.5 0.5", "expected 'class x y width height'"),
        ("1.5 0.5 0.5 0.5 0.5", "expected 'class x y width height'"),
        ("Male 0.5 0.5 0.5 0.5", "expected 'class x y width height'"),
        ("2 0.5 0.5 0.5 0.5", "class 2 is not among the 2 names"),
        ("-1 0.5 0.5 0.5 0.5", "class -1 is not among the 2 names"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, line: str, complaint: str) -> None:
    add(tmp_path / "a.png", tmp_path / "a.txt", f"\n{LINE}{line}\n")
    with pytest.raises(DataError, match=rf"a\.txt:3: {complaint}"):
        read_yolo(tmp_path, ("Female", "Male"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"train: /etc\n{NAMES}", r"data\.yaml: .* is outside"),
        (f"train: ../../x\n{NAMES}", r"data\.yaml: .* is outside"),
        (f"train: list.txt\n{NAMES}", r"list\.txt:2: '\.\./\.\./secret\.png' is outside"),
        (f"train: gone\n{NAMES}", "gone: no such folder or list of pictures"),
        (f"train: a\n{NAMES}download: https://example.org/a.zip\n", "has a 'download:' entry"),
    ],
)
def test_a_yaml_that_leaves_its_folder_or_downloads_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    add_picture(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("./a.png\n../../secret.png\n")
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_yolo(tmp_path, ())


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    add_picture(tmp_path / "elsewhere.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(DataError, match=r"a\.png' is outside"):
        read_yolo(tmp_path / "set", ("a",))


@given(st.lists(st.text(max_size=20) | st.lists(st.floats().map(str), max_size=9).map(" ".join), max_size=4))
def test_any_text_is_read_or_refused_by_line(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = tmp_path_factory.getbasetemp() / "any_yolo"
    add(folder / "any.png", folder / "any.txt", "")
    (folder / "any.txt").write_text("\n".join(lines), "utf-8")
    text = refusal(lambda: read_yolo(folder, ("a", "b")))
    assert text is None or "any.txt:" in text
