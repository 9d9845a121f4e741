"""Pascal VOC: image sets are splits, and no XML can do harm."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import DataError
from trap_training.pictures.importing import Format
from trap_training.pictures.voc import read_voc

from training.foreign_sets import HEIGHT, WIDTH, add_picture, imported, refusal

SIZE = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def thing(name: str, *corners: object) -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{tag}>{corner}</{tag}>" for tag, corner in tags)
    return f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"


def annotate(file: Path, *parts: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"<annotation>{''.join(parts)}</annotation>")
    return file


def test_image_sets_are_splits_and_names_are_classes_in_alphabetical_order(tmp_path: Path) -> None:
    for stem in ("1", "2", "3"):
        add_picture(tmp_path / "JPEGImages" / f"{stem}.jpg")
        part = "<part><name>head</name><bndbox/></part></object>"
        dressed = thing("Male", 4, 2, "14.5", 10).replace("</object>", part)
        annotate(tmp_path / "Annotations" / f"{stem}.xml", SIZE, dressed, thing("Female", 1, 1, 5, 5))
    sets = tmp_path / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (sets / "trainval.txt").write_text("1\n2\n")
    (sets / "train.txt").write_text("1\n")
    (sets / "val.txt").write_text("2\n\n")
    (sets / "Male_train.txt").write_text("1 1\n3 -1\n")
    summary, found = imported(tmp_path, tmp_path / "out")
    assert (summary.format, summary.names) == (Format.VOC, ("Female", "Male"))
    assert found["train/1.jpg"] == [("Male", [4, 2, 14.5, 10]), ("Female", [1, 1, 5, 5])]
    assert sorted(found) == ["train/1.jpg", "val/2.jpg"]
    assert summary.tally.pictures_without_labels == 1


def test_roboflows_folders_are_splits_and_a_stale_filename_does_not_matter(tmp_path: Path) -> None:
    for folder in ("train", "valid"):
        add_picture(tmp_path / folder / "a.PNG")
        annotate(tmp_path / folder / "a.xml", "<filename>../../etc/passwd</filename>", thing("Male", 0, 0, 4, 4))
    _, found = imported(tmp_path, tmp_path / "out")
    assert found == {f"{split}/a.PNG": [("Male", [0, 0, 4, 4])] for split in ("train", "val")}


def test_pictures_with_an_empty_annotation_are_kept(tmp_path: Path) -> None:
    add_picture(tmp_path / "a.png")
    add_picture(tmp_path / "b.png")
    annotate(tmp_path / "a.xml", thing("Male", 0, 0, 4, 4))
    annotate(tmp_path / "b.xml", SIZE)
    assert imported(tmp_path, tmp_path / "out")[1]["train/b.png"] == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_entity_bomb_is_refused_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>{BOMB}<annotation><name>&b;</name></annotation>'
    (tmp_path / "bomb.xml").write_text(text, encoding=encoding)
    with pytest.raises(DataError, match=r"bomb\.xml: not a Pascal VOC annotation: has a DOCTYPE"):
        read_voc(tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (thing("", 0, 0, 4, 4), "object 1: expected a name"),
        (thing("a", 0, 0, 4, 4) + thing("a", 0, 0, "nan", 4), "object 2: expected a name and a bndbox of four numbers"),
        (thing("a", 0, "", 4, 4), "object 1"),
        ("<object><name>a</name></object>", "object 1"),
        ("<object>", "not a Pascal VOC annotation"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, content: str, complaint: str) -> None:
    add_picture(tmp_path / "a.png")
    annotate(tmp_path / "a.xml", content)
    with pytest.raises(DataError, match=rf"a\.xml: {complaint}"):
        read_voc(tmp_path)


def test_an_annotation_without_its_picture_is_refused(tmp_path: Path) -> None:
    annotate(tmp_path / "a.xml", SIZE)
    with pytest.raises(DataError, match=r"a\.xml: no picture of that name"):
        read_voc(tmp_path)


@pytest.mark.parametrize(("line", "complaint"), [("../../x", "is outside"), ("gone", "no such annotation")])
def test_a_bad_line_of_an_image_set_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / "Annotations").mkdir()
    sets = tmp_path / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    (sets / "val.txt").write_text(f"\n{line}\n")
    with pytest.raises(DataError, match=rf"val\.txt:2: .*{complaint}"):
        read_voc(tmp_path)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: f"<a><object>{text}</object></a>".encode()))
def test_any_bytes_are_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "any_voc"
    add_picture(folder / "any.png")
    (folder / "any.xml").write_bytes(content)
    text = refusal(lambda: read_voc(folder))
    assert text is None or "any.xml" in text
