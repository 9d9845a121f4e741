"""What an import does to boxes and pictures, and what it says of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from trap_contract.errors import ConfigError, DataError
from trap_training.data_commands import app
from trap_training.pictures.foreign import Tally
from trap_training.pictures.importing import Format, fit_boxes
from typer.testing import CliRunner

from training.foreign_sets import add_picture, imported

FEMALE, MALE = "0 0.5 0.5 0.5 0.5\n", "1 0.5 0.5 0.5 0.5\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A YOLO folder of one train picture with a female and a male."""
    folder = tmp_path / "source"
    add_picture(folder / "train" / "a.png")
    (folder / "train" / "a.txt").write_text(FEMALE + MALE)
    (folder / "obj.names").write_text("Female\nMale\n")
    return folder


def fitted(*corners: tuple[float, ...]) -> tuple[list[list[float]], Tally]:
    tally = Tally()
    labels = fit_boxes(np.array([(0, *box) for box in corners], np.float64).reshape(-1, 5), tally)
    return labels.corners(1, 1).round(6).tolist(), tally


def test_a_box_inside_stays_as_it_is() -> None:
    assert fitted((0.1, 0.2, 0.3, 0.4)) == ([[0.1, 0.2, 0.3, 0.4]], Tally())


def test_a_box_that_reaches_outside_is_clipped_and_counted() -> None:
    assert fitted((-0.5, 0.5, 0.5, 2)) == ([[0, 0.5, 0.5, 1]], Tally(clipped=1))


def test_a_box_that_reaches_outside_by_rounding_is_clipped_and_not_counted() -> None:
    assert fitted((-0.0005, 0, 0.5, 1.0005)) == ([[0, 0, 0.5, 1]], Tally())


def test_a_box_wholly_outside_is_left_out_and_counted() -> None:
    assert fitted((1.1, 0, 1.2, 1), (-1, 0, 0, 1)) == ([], Tally(outside=2))


def test_a_box_without_area_is_left_out_and_counted() -> None:
    assert fitted((0.5, 0.1, 0.5, 0.9), (0.6, 0.1, 0.4, 0.9)) == ([], Tally(without_area=2))


@given(hnp.arrays(np.float64, st.tuples(st.integers(0, 6), st.just(4)), elements=st.floats(-3, 3)))
def test_every_box_is_kept_or_counted_and_those_kept_are_inside(corners: np.ndarray) -> None:
    tally = Tally()
    labels = fit_boxes(np.column_stack([np.zeros(len(corners)), corners]), tally)
    assert len(labels) + tally.outside + tally.without_area == len(corners)
    assert (labels.boxes[:, 2:] > 0).all()
    assert ((labels.corners(1, 1) >= -1e-9) & (labels.corners(1, 1) <= 1 + 1e-9)).all()


def test_names_number_the_classes_anew(source: Path, tmp_path: Path) -> None:
    summary, found = imported(source, tmp_path / "out", names=("Male", "Other", "Female"))
    assert summary.names == ("Male", "Other", "Female")
    assert [name for name, _ in found["train/a.png"]] == ["Female", "Male"]
    assert (tmp_path / "out" / "labels" / "train" / "a.txt").read_text().split()[0] == "2"


def test_names_that_lack_a_class_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has the classes Female, Male: --names lacks Male"):
        imported(source, tmp_path / "out", names=("Female",))


def test_a_source_of_two_formats_must_be_named(source: Path, tmp_path: Path) -> None:
    (source / "all.json").write_text("{}")
    with pytest.raises(ConfigError, match="looks like yolo and coco: name it with --format"):
        imported(source, tmp_path / "out")
    assert imported(source, tmp_path / "out", Format.YOLO)[0].pictures == {"train": 1}


def test_a_source_of_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no data\.yaml, COCO json, VOC xml or obj\.names there"):
        imported(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="gone: no such file or folder"):
        imported(tmp_path / "gone", tmp_path / "out")


def test_a_picture_that_is_not_as_large_as_its_annotation_says_is_refused(tmp_path: Path) -> None:
    add_picture(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text("<annotation><size><width>20</width><height>40</height></size></annotation>")
    with pytest.raises(DataError, match=r"a\.png: is 40x20 px, its annotation says 20x40"):
        imported(tmp_path, tmp_path / "out")


def test_a_picture_that_cannot_be_read_is_named_and_nothing_describes_the_rest(source: Path, tmp_path: Path) -> None:
    (source / "train" / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b\.png: can't be read as a picture"):
        imported(source, tmp_path / "out")
    assert not (tmp_path / "out" / "data.yaml").exists()


def test_two_pictures_of_one_name_are_refused_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    add_picture(source / "train" / "deeper" / "a.png")
    with pytest.raises(DataError, match="has the same name as"):
        imported(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_what_it_did_as_json(source: Path, tmp_path: Path) -> None:
    (source / "train" / "a.txt").write_text(FEMALE + "1 1 0.5 0.5 0.5\n0 2 2 0.1 0.1\n1 0.5 0.5 0 0\n")
    result = CliRunner().invoke(app, ["import", str(source), "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "format": "yolo",
        "names": ["Female", "Male"],
        "tally": {
            "clipped": 1,
            "outside": 1,
            "without_area": 1,
            "crowds": 0,
            "outlines": 0,
            "pictures_without_labels": 0,
        },
        "pictures": {"train": 1},
        "boxes": {"train": 2},
    }
