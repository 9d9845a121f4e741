"""COCO files: categories become classes, crowds stay out, and no name leads out of the folder."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import DataError
from trap_training.pictures.coco import read_coco
from trap_training.pictures.importing import Format

from training.foreign_sets import HEIGHT, WIDTH, add_picture, imported, refusal

CATEGORIES = [{"id": 7, "name": "Male"}, {"id": 3, "name": "Female"}]


def write(file: Path, boxes: list[dict[str, Any]], **changes: Any) -> Path:
    """An instance file of one picture, 1.png, with these annotations."""
    image = {"id": 1, "file_name": "1.png", "width": WIDTH, "height": HEIGHT}
    annotations = [{"image_id": 1, "category_id": 3, **box} for box in boxes]
    content = {"images": [image], "annotations": annotations, "categories": CATEGORIES, **changes}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def test_coco_folders_become_splits_and_categories_classes_in_the_order_of_their_ids(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        add_picture(tmp_path / split / "1.png")
        boxes = [{"bbox": [4, 2, 10, 8]}, {"bbox": [20, 2, 4, 4], "category_id": 7}]
        write(tmp_path / "annotations" / f"instances_{split}.json", boxes)
    summary, found = imported(tmp_path, tmp_path / "out")
    assert (summary.format, summary.names) == (Format.COCO, ("Female", "Male"))
    expected = [("Female", [4, 2, 14, 10]), ("Male", [20, 2, 24, 6])]
    assert found == {"train/1.png": expected, "val/1.png": expected}
    assert summary.pictures == {"train": 1, "val": 1}
    assert summary.boxes == {"train": 2, "val": 2}


def test_roboflows_heading_is_no_class_and_valid_is_val(tmp_path: Path) -> None:
    heading = [{"id": 0, "name": "mosquito", "supercategory": "none"}]
    children = [{**category, "supercategory": "mosquito"} for category in CATEGORIES]
    for folder in ("train", "valid", "test"):
        add_picture(tmp_path / folder / "1.png")
        write(tmp_path / folder / "_annotations.coco.json", [{"bbox": [0, 0, 4, 4]}], categories=heading + children)
    summary, found = imported(tmp_path, tmp_path / "out", Format.ROBOFLOW)
    assert summary.names == ("Female", "Male")
    assert sorted(found) == ["test/1.png", "train/1.png", "val/1.png"]


def test_a_category_that_is_its_own_supercategory_is_a_class(tmp_path: Path) -> None:
    add_picture(tmp_path / "1.png")
    write(tmp_path / "all.json", [], categories=[{"id": 1, "name": "person", "supercategory": "person"}])
    assert read_coco(tmp_path).names == ("person",)


def test_crowds_are_left_out_and_outlines_become_boxes_and_both_are_counted(tmp_path: Path) -> None:
    add_picture(tmp_path / "1.png")
    outline = {"bbox": [], "segmentation": [[4, 2, 14, 2, 9, 10], [1, 5, 3, 6, 2, 7]]}
    crowd = {"bbox": [0, 0, 9, 9], "iscrowd": 1, "segmentation": {"counts": "x", "size": [20, 40]}}
    summary, found = imported(write(tmp_path / "all.json", [outline, crowd]), tmp_path / "out")
    assert found == {"train/1.png": [("Female", [1, 2, 14, 10])]}
    assert (summary.tally.crowds, summary.tally.outlines) == (1, 1)


@pytest.mark.parametrize("name", ["../1.png", "/etc/1.png", "a/../../1.png", "..\\1.png", "link/1.png", "a\0.png"])
def test_a_file_name_that_leaves_the_data_set_is_refused(tmp_path: Path, name: str) -> None:
    add_picture(tmp_path / "1.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path)
    write(tmp_path / "data" / "all.json", [], images=[{"id": 1, "file_name": name}])
    with pytest.raises(DataError, match=r"all\.json: images\.0\.file_name: .* is outside .*/data"):
        read_coco(tmp_path / "data")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"images": [{"id": 1, "file_name": "gone.png"}]}, r"images\.0\.file_name: no picture 'gone.png'"),
        ({"images": [{"id": 1, "file_name": "all.json"}]}, "'all.json' is not a picture"),
        ({"images": [{"id": 1, "file_name": "1.png"}] * 2}, "images: two have the same id"),
        ({"images": 3}, r"images: Input should be a valid array"),
        ({"annotations": [{"image_id": 2, "category_id": 3}]}, r"annotations\.0: image 2 or category 3"),
        ({"annotations": [{"image_id": 1, "category_id": 9}]}, r"annotations\.0: image 1 or category 9"),
        ({"annotations": [{"image_id": 1, "category_id": 3}]}, r"annotations\.0: has neither a bbox"),
        ({"annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2]}]}, r"annotations\.0: has neither a bbox"),
        ({"annotations": [{"image_id": 1, "category_id": 3, "segmentation": [["x"]]}]}, "has neither a bbox"),
        ({"annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2, float("nan"), 4]}]}, r"bbox\.2: .*finite"),
        ({"annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 10**400, 4]}]}, "not COCO instances"),
        ({"categories": [{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]}, "category 3 is both"),
    ],
    ids=range(12),
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    add_picture(tmp_path / "1.png")
    write(tmp_path / "all.json", [], **changes)
    with pytest.raises(DataError, match=complaint):
        read_coco(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff", "null"])
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "all.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"all\.json: not COCO instances"):
        read_coco(tmp_path)


junk = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.fixed_dictionaries({"images": junk, "annotations": junk, "categories": junk}) | junk)
def test_any_json_is_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps(content))
    text = refusal(lambda: read_coco(file))
    assert text is None or str(file) in text
