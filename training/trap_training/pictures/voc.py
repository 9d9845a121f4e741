"""Read Pascal VOC: Annotations/, JPEGImages/ and ImageSets/, or XML files beside their pictures in split folders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from trap_contract.dataset import SPLITS
from trap_contract.errors import DataError
from trap_contract.pictures import PICTURE_SUFFIXES

from trap_training.pictures.foreign import SPLIT_WORDS, Entry, Foreign, Tally, folders_by_split, inside

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class _Builder(ET.TreeBuilder):
    """Builds a tree, and refuses the declarations that an entity bomb needs."""

    def doctype(self, *_: Any) -> None:
        raise ValueError("has a DOCTYPE, which annotations never need and which can hide an entity bomb")


def find_voc(source: Path) -> list[tuple[str, Path]]:
    """Every annotation file of a folder, with its split.

    Raises DataError when an image set names a file that is not there.
    """
    if not source.is_dir():
        return []
    sets = source / "ImageSets" / "Main"
    if sets.is_dir():
        return [*_listed(source, sets)]
    if (source / "Annotations").is_dir():
        return [("train", file) for file in sorted((source / "Annotations").glob("*.xml"))]
    return [(split, file) for split, folder in folders_by_split(source) for file in sorted(folder.glob("*.xml"))]


def read_voc(source: Path) -> Foreign:
    """Read every annotation of a data set; classes are the names of its objects in alphabetical order.

    A picture is the one with the annotation's own name; what the file says in `filename` is often stale and not read.
    Corners are taken as they are: tools disagree on whether the first px is 0 or 1. Raises DataError naming the file
    and the object that is wrong.
    """
    files = find_voc(source)
    if not files:
        raise DataError(
            f"{source}: holds no Pascal VOC annotation: expected Annotations/*.xml, or *.xml beside pictures"
        )
    read = [(split, file, *_parsed(file)) for split, file in files]
    names = sorted({name for _, _, objects, _ in read for name, _ in objects})
    entries = []
    for split, file, objects, size in read:
        rows = [[names.index(name), *corners] for name, corners in objects]
        entries.append(Entry(split, _picture(source, file), np.array(rows, np.float64).reshape(-1, 5), size))
    folders = {entry.picture.parent for entry in entries}
    pictures = sum(path.suffix.lower() in PICTURE_SUFFIXES for folder in folders for path in folder.iterdir())
    unlabelled = pictures - len({entry.picture for entry in entries})
    return Foreign(tuple(names), entries, Tally(pictures_without_labels=unlabelled))


def _listed(source: Path, sets: Path) -> Iterator[tuple[str, Path]]:
    lists = {SPLIT_WORDS[file.stem]: file for file in sorted(sets.glob("*.txt")) if file.stem in SPLIT_WORDS}
    if "train" not in lists and (sets / "trainval.txt").exists():
        lists["train"] = sets / "trainval.txt"
    for split in SPLITS:
        if split not in lists:
            continue
        for number, line in enumerate(lists[split].read_text("utf-8", "replace").splitlines(), start=1):
            if line.strip():
                where = f"{lists[split]}:{number}"
                file = inside(source, f"Annotations/{line.split()[0]}.xml", where)
                if not file.is_file():
                    raise DataError(f"{where}: no such annotation: {file}")
                yield split, file


def _parsed(file: Path) -> tuple[list[tuple[str, list[float]]], tuple[int, int] | None]:
    """Names and corners of the objects of a file, and the picture's size where it is given."""
    parser = ET.XMLParser(target=_Builder())  # noqa: S314 - the builder refuses every DOCTYPE
    try:
        parser.feed(file.read_bytes())
        root = parser.close()
    except (ET.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{file}: not a Pascal VOC annotation: {error}") from error
    objects = [_object(file, number, one) for number, one in enumerate(root.findall("object"), start=1)]
    sides = [root.findtext(f"size/{side}", "") for side in ("width", "height")]
    width, height = (int(side) if side.strip().isdecimal() else 0 for side in sides)
    return objects, (width, height) if width and height else None


def _object(file: Path, number: int, one: Any) -> tuple[str, list[float]]:
    name = (one.findtext("name") or "").strip()
    try:
        corners = [float(one.findtext(f"bndbox/{corner}", "")) for corner in _CORNERS]
    except ValueError:
        corners = []
    if not name or len(corners) != 4 or not np.isfinite(corners).all():
        raise DataError(f"{file}: object {number}: expected a name and a bndbox of four numbers")
    return name, corners


def _picture(source: Path, file: Path) -> Path:
    for folder in (file.parent, source / "JPEGImages", source / "images"):
        for suffix in sorted(PICTURE_SUFFIXES | {suffix.upper() for suffix in PICTURE_SUFFIXES}):
            place = folder / (file.stem + suffix)
            if place.is_file():
                return inside(source, place.relative_to(source).as_posix(), str(file))
    raise DataError(f"{file}: no picture of that name beside it, in JPEGImages or in images")
