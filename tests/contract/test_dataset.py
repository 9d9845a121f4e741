"""Data sets on disk: what is read, what is refused, and what their digest says."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from trap_contract.dataset import UNLABELLED, DataSet, Labels, label_file, read_labels, write_description, write_labels
from trap_contract.errors import DataError


def describe(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "data.yaml"
    file.write_text(text)
    return file


def add_picture(folder: Path, name: str, shade: int, label: str | None = None) -> Path:
    """A small grey picture in images/train with its label text."""
    picture = folder / "images" / "train" / name
    picture.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(picture), np.full((8, 8, 3), shade, np.uint8))
    if label is not None:
        label_file(picture).parent.mkdir(parents=True, exist_ok=True)
        label_file(picture).write_text(label)
    return picture


@pytest.mark.parametrize("names", ["[Female, Male]", "{0: Female, 1: Male}", "{1: Male, 0: Female}"])
def test_names_are_a_list_or_a_numbered_map(tmp_path: Path, names: str) -> None:
    data = DataSet.load(describe(tmp_path, f"train: images/train\nnames: {names}\n"))
    assert data.names == ("Female", "Male")


@pytest.mark.parametrize(
    "names", ["", "[]", "[a, a]", "{0: a, 2: b}", "{a: 0}", "{0: a, b: c}", "mosquito", "3", "{0: a, 1: a}"]
)
def test_names_that_do_not_number_every_class_once_are_refused(tmp_path: Path, names: str) -> None:
    with pytest.raises(DataError, match=r"data\.yaml: 'names' must list every class once"):
        DataSet.load(describe(tmp_path, f"train: images/train\nnames: {names}\n"))


@pytest.mark.parametrize(
    "entry", ["download: https://example.org/pictures.zip", "download: ''", "download: |\n  import os"]
)
def test_a_download_entry_is_refused(tmp_path: Path, entry: str) -> None:
    with pytest.raises(DataError, match="has a 'download:' entry"):
        DataSet.load(describe(tmp_path, f"train: images/train\nnames: [a]\n{entry}\n"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("names: [a]\n", "names no split"),
        ("- train\n", "not a data set description"),
        ("", "not a data set description"),
        ("train: [", "not YAML"),
        ("train: 5\nnames: [a]\n", "a split must be a folder"),
        ("train: !!python/object/apply:os.getcwd []\nnames: [a]\n", "not YAML"),
    ],
)
def test_a_malformed_description_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=rf"data\.yaml: {complaint}"):
        DataSet.load(describe(tmp_path, text))


def test_a_missing_or_binary_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.yaml: no such data set description"):
        DataSet.load(tmp_path / "gone.yaml")
    (tmp_path / "data.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"data\.yaml: not YAML"):
        DataSet.load(tmp_path / "data.yaml")


def test_a_split_may_be_several_folders_and_a_list(tmp_path: Path) -> None:
    for folder in ("one", "two/deep", "three"):
        (tmp_path / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / folder / "p.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "list.txt").write_text("three/p.png\n\n")
    data = DataSet.load(describe(tmp_path, "train: [one, two, list.txt]\nnames: [a]\n"))
    places = [picture.relative_to(tmp_path.resolve()).as_posix() for picture in data.pictures("train")]
    assert places == ["one/p.png", "three/p.png", "two/deep/p.png"]


def test_a_list_that_names_a_missing_picture_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\ngone.png\n")
    data = DataSet.load(describe(tmp_path, "train: list.txt\nnames: [a]\n"))
    with pytest.raises(DataError, match=r"list\.txt:2: no such picture: .*gone\.png"):
        data.pictures("train")


def test_a_split_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images" / "train").mkdir(parents=True)
    data = DataSet.load(describe(tmp_path, "train: images/train\nval: images/val\nnames: [a]\n"))
    with pytest.raises(DataError, match="has no split 'test', only train, val"):
        data.pictures("test")
    with pytest.raises(DataError, match="split 'train' has no picture"):
        data.pictures("train")
    with pytest.raises(DataError, match="neither a folder of pictures nor a list"):
        data.pictures("val")


@pytest.mark.parametrize(
    "line",
    [
        "0 0.5 0.5 0.1",
        "0 0.5 0.5 0.1 0.1 0.9",
        "Female 0.5 0.5 0.1 0.1",
        "0.5 0.5 0.5 0.1 0.1",
        "-1 0.5 0.5 0.1 0.1",
        "nan 0.5 0.5 0.1 0.1",
        "inf 0.5 0.5 0.1 0.1",
        "0 0.5 nan 0.1 0.1",
    ],
)
def test_a_bad_label_line_is_named_with_its_number(tmp_path: Path, line: str) -> None:
    picture = add_picture(tmp_path, "p.png", 0, f"0 0.5 0.5 0.2 0.2\n\n{line}\n")
    with pytest.raises(DataError, match=rf"p\.txt:3: expected 'class x y width height', got '{line}'"):
        read_labels(picture)


def test_a_label_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    picture = add_picture(tmp_path, "p.png", 0, "")
    label_file(picture).write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=r"p\.txt: not a text file"):
        read_labels(picture)


def test_a_picture_without_a_label_file_has_no_insect(tmp_path: Path) -> None:
    labels = read_labels(add_picture(tmp_path, "p.png", 0))
    assert len(labels) == 0
    assert labels.corners(8, 8).shape == (0, 4)


@given(
    st.integers(0, 6).flatmap(
        lambda count: st.tuples(
            hnp.arrays(np.int64, count, elements=st.integers(0, 99)),
            hnp.arrays(np.float64, (count, 4), elements=st.floats(0, 1)),
        )
    )
)
def test_labels_survive_the_disk(
    tmp_path_factory: pytest.TempPathFactory, content: tuple[np.ndarray, np.ndarray]
) -> None:
    picture = tmp_path_factory.getbasetemp() / "images" / "any.png"
    write_labels(picture, Labels(*content))
    found = read_labels(picture)
    assert found.classes.tolist() == content[0].tolist()
    assert found.boxes == pytest.approx(content[1], abs=5e-7)


def test_only_the_last_folder_named_images_becomes_labels() -> None:
    assert label_file(Path("images/a/images/val/x.jpg")) == Path("images/a/labels/val/x.txt")
    assert label_file(Path("photos/images.png")) == Path("photos/images.txt")


def test_corners_are_in_px_of_the_picture() -> None:
    labels = Labels(np.array([0]), np.array([[0.5, 0.25, 0.2, 0.1]]))
    assert labels.corners(100, 200).tolist() == [[40, 40, 60, 60]]


@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(0, 1)), st.integers(1, 4000), st.integers(1, 4000))
def test_labels_from_corners_have_those_corners(boxes: np.ndarray, width: int, height: int) -> None:
    labels = Labels(np.arange(3), boxes)
    again = Labels.from_corners(labels.classes, labels.corners(width, height), width, height)
    assert again.classes.tolist() == [0, 1, 2]
    assert again.boxes == pytest.approx(boxes, abs=1e-9)


def test_a_description_may_name_a_place_of_unlabelled_pictures(tmp_path: Path) -> None:
    picture = add_picture(tmp_path, "p.png", 0)
    data = DataSet.load(describe(tmp_path, "unlabelled: images/train\nnames: [a]\n"))
    assert list(data.splits) == [UNLABELLED]
    assert data.pictures(UNLABELLED) == [picture.resolve()]
    assert list(DataSet.load(write_description(tmp_path, ("a",), ("train", UNLABELLED))).splits) == [
        "train",
        UNLABELLED,
    ]


@pytest.mark.usefixtures("quiet")
def test_ultralytics_ignores_the_unlabelled_place(tmp_path: Path) -> None:
    from ultralytics.data.utils import check_det_dataset

    add_picture(tmp_path, "p.png", 0)
    found = check_det_dataset(
        str(describe(tmp_path, "train: images/train\nval: images/train\nunlabelled: gone\nnames: [a]\n"))
    )
    assert found["train"] == found["val"] == str((tmp_path / "images" / "train").resolve())


def test_the_digest_does_not_know_file_names(tmp_path: Path) -> None:
    text = "train: images/train\nnames: [a]\n"
    for folder, first, second in (("x", "a.png", "b.png"), ("y", "z.png", "c.png")):
        add_picture(tmp_path / folder, first, 10, "0 0.5 0.5 0.1 0.1\n")
        add_picture(tmp_path / folder, second, 20)
    one, other = (DataSet.load(describe(tmp_path / folder, text)).digest("train") for folder in ("x", "y"))
    assert one == other


def test_the_digest_changes_with_a_pixel_a_label_its_owner_and_a_name(tmp_path: Path) -> None:
    label = "0 0.5 0.5 0.1 0.1\n"
    variants = {
        "plain": (10, label, None, "a"),
        "pixel": (11, label, None, "a"),
        "label": (10, "0 0.5 0.5 0.1 0.2\n", None, "a"),
        "owner": (10, None, label, "a"),
        "name": (10, label, None, "b"),
    }
    digests = set()
    for variant, (shade, first, second, name) in variants.items():
        add_picture(tmp_path / variant, "1.png", shade, first)
        add_picture(tmp_path / variant, "2.png", 20, second)
        digests.add(
            DataSet.load(describe(tmp_path / variant, f"train: images/train\nnames: [{name}]\n")).digest("train")
        )
    assert len(digests) == len(variants)


@pytest.mark.usefixtures("quiet")
def test_ultralytics_finds_a_described_data_set_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.data.utils import check_det_dataset

    add_picture(tmp_path / "data", "p.png", 0)
    file = write_description(tmp_path / "data", ("Female", "Male"), ("train",))
    file.write_text(file.read_text() + "val: images/train\n")
    monkeypatch.chdir("/")
    found = check_det_dataset(str(file))
    assert found["names"] == {0: "Female", 1: "Male"}
    assert Path(found["train"]) == DataSet.load(file).splits["train"][0]
