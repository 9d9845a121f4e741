"""Read COCO instance files: one JSON a split, in COCO's own folders, Roboflow's, or beside the pictures."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, FiniteFloat, ValidationError
from trap_contract.errors import DataError

from trap_training.pictures.foreign import SPLIT_WORDS, Entry, Foreign, Tally, box_of, find_picture

_SPLIT = re.compile(r"(?<![a-z])(?:train|validation|valid|val|test)(?![a-z])")


class _Image(BaseModel):
    id: int | str
    file_name: str
    width: int | None = None
    height: int | None = None


class _Category(BaseModel):
    id: int
    name: str
    supercategory: str | None = None


class _Annotation(BaseModel):
    image_id: int | str
    category_id: int
    bbox: list[FiniteFloat] | None = None
    segmentation: Any = None
    iscrowd: int = 0


class _Instances(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def find_coco(source: Path) -> list[Path]:
    """The instance files of a folder, or the file itself."""
    if source.is_file():
        return [source] if source.suffix == ".json" else []
    found = [*source.glob("*.json"), *source.glob("annotations/*.json"), *source.glob("*/_annotations.coco.json")]
    return sorted(file for file in found if not file.name.startswith(("captions_", "person_keypoints_", "image_info_")))


def read_coco(source: Path) -> Foreign:
    """Read every instance file of a data set; classes are the categories in the order of their ids.

    A category that no box uses and that others name as their supercategory is a heading, not a class. Crowds are left
    out. Raises DataError naming the file and the entry that is wrong.
    """
    files = find_coco(source)
    if not files:
        raise DataError(f"{source}: holds no COCO file: expected annotations/*.json or SPLIT/_annotations.coco.json")
    root = source if source.is_dir() else source.parent
    parts = {file: _load(file) for file in files}
    names = _names(source, list(parts.values()))
    numbers = {key: number for number, key in enumerate(names)}
    tally = Tally()
    entries = [entry for file, part in parts.items() for entry in _entries(root, file, part, numbers, tally)]
    return Foreign(tuple(names.values()), entries, tally)


def _load(file: Path) -> _Instances:
    try:
        return _Instances.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(f"{file}: not COCO instances: {place}: {first['msg']}") from error


def _names(source: Path, parts: list[_Instances]) -> dict[int, str]:
    categories = {one.id: one for part in parts for one in part.categories}
    used = {one.category_id for part in parts for one in part.annotations}
    headings = {one.supercategory for one in categories.values() if one.supercategory != one.name}
    names = {key: categories[key].name for key in sorted(categories)}
    for part in parts:
        for one in part.categories:
            if names[one.id] != one.name:
                raise DataError(f"{source}: category {one.id} is both {one.name!r} and {names[one.id]!r}")
    return {key: name for key, name in names.items() if key in used or name not in headings}


def _entries(root: Path, file: Path, part: _Instances, numbers: dict[int, int], tally: Tally) -> Iterator[Entry]:
    rows: dict[int | str, list[list[float]]] = {image.id: [] for image in part.images}
    if len(rows) < len(part.images):
        raise DataError(f"{file}: images: two have the same id")
    for place, one in enumerate(part.annotations):
        where = f"{file}: annotations.{place}"
        if one.image_id not in rows or one.category_id not in numbers:
            raise DataError(f"{where}: image {one.image_id} or category {one.category_id} is not in the file")
        if one.iscrowd:
            tally.crowds += 1
        else:
            rows[one.image_id].append([numbers[one.category_id], *_corners(one, where, tally)])
    split, folders = _split(file), list(_folders(root, file))
    for place, image in enumerate(part.images):
        picture = find_picture(root, folders, image.file_name, f"{file}: images.{place}.file_name")
        size = (image.width, image.height) if image.width and image.height else None
        yield Entry(split, picture, np.array(rows[image.id], np.float64).reshape(-1, 5), size)


def _corners(one: _Annotation, where: str, tally: Tally) -> list[float]:
    if one.bbox and len(one.bbox) == 4:
        x, y, width, height = one.bbox
        return [x, y, x + width, y + height]
    try:
        points = np.concatenate([np.array(outline, np.float64).reshape(-1, 2) for outline in one.segmentation])
    except (TypeError, ValueError):
        points = np.empty((0, 2))
    if not len(points) or not np.isfinite(points).all():
        raise DataError(f"{where}: has neither a bbox of four numbers nor an outline: export it with boxes")
    tally.outlines += 1
    return [float(value) for value in box_of(points)]


def _split(file: Path) -> str:
    """instances_val2017.json says it itself, valid/_annotations.coco.json by its folder."""
    word = _SPLIT.search(file.stem.lower())
    return SPLIT_WORDS.get(word.group() if word else file.parent.name.lower(), "train")


def _folders(root: Path, file: Path) -> Iterator[Path]:
    """Where the pictures of a file may be: beside it, in COCO's train2017/, or in images/."""
    own = file.stem.removeprefix("instances_")
    bases = [file.parent] if file.parent == root else [file.parent, root]
    for base in bases:
        yield from (base / place for place in (".", own, "images", f"images/{own}"))
