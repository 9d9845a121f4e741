"""A YOLO data set on disk: a YAML naming classes and splits, pictures, and one label text beside each.

Ultralytics runs whatever a YAML's `download:` says; here such a file is refused.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml
from numpy.typing import NDArray

from trap_contract.errors import DataError
from trap_contract.pictures import PICTURE_SUFFIXES

SPLITS = ("train", "val", "test")
UNLABELLED = "unlabelled"
"""A fourth place a YAML may name: pictures nobody has labelled, for a teacher to label; trainers ignore it."""


@dataclass(frozen=True, slots=True)
class Labels:
    """N boxes of one picture: classes (N,) and boxes (N, 4) as centre x, centre y, width, height in 0..1."""

    classes: NDArray[np.int64]
    boxes: NDArray[np.float64]

    @classmethod
    def from_corners(cls, classes: NDArray[np.int64], corners: NDArray[np.float64], width: int, height: int) -> Self:
        """Labels from corners x0, y0, x1, y1 in px of a picture of this size."""
        low, high = corners[:, :2], corners[:, 2:]
        boxes = np.concatenate([(low + high) / 2, high - low], axis=1) / np.array([width, height] * 2, np.float64)
        return cls(classes, boxes)

    def __len__(self) -> int:
        return len(self.classes)

    def corners(self, width: int, height: int) -> NDArray[np.float64]:
        """Boxes as x0, y0, x1, y1 in px of a picture of this size."""
        centres, halves = self.boxes[:, :2], self.boxes[:, 2:] / 2
        scale = np.array([width, height] * 2, np.float64)
        return np.concatenate([centres - halves, centres + halves], axis=1) * scale


@dataclass(frozen=True, slots=True)
class DataSet:
    """Class names, and for each split the places that hold its pictures."""

    file: Path
    names: tuple[str, ...]
    splits: dict[str, tuple[Path, ...]]

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a data set's YAML.

        Raises DataError when it is missing or malformed, has no classes, or wants to download.
        """
        content = _content(file)
        root = (file.parent / str(content.get("path") or ".")).resolve()
        splits = {split: _places(file, root, content[split]) for split in (*SPLITS, UNLABELLED) if content.get(split)}
        if not splits:
            raise DataError(f"{file}: names no split: add 'train:' and 'val:' with folders of pictures")
        return cls(file, _names(file, content.get("names")), splits)

    def pictures(self, split: str) -> list[Path]:
        """The pictures of a split, sorted.

        Raises DataError when the split is not in the YAML, or has no picture.
        """
        if split not in self.splits:
            raise DataError(f"{self.file}: has no split {split!r}, only {', '.join(self.splits)}")
        found = sorted({picture for place in self.splits[split] for picture in _pictures_at(self.file, place)})
        if not found:
            raise DataError(f"{self.file}: split {split!r} has no picture in {', '.join(map(str, self.splits[split]))}")
        return found

    def digest(self, split: str) -> str:
        """SHA-256, hex, over names, pictures and labels of a split; file names do not count."""
        digest = hashlib.sha256("\n".join(self.names).encode())
        digest.update(b"".join(sorted(_pair_digest(picture) for picture in self.pictures(split))))
        return digest.hexdigest()


def label_file(picture: Path) -> Path:
    """Where the labels of a picture are: the last folder named `images` becomes `labels`."""
    parts = list(picture.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts).with_suffix(".txt")


def check_stems(pictures: list[Path]) -> None:
    """Refuse pictures that could not lie in one folder, because two would have the same label file.

    Raises DataError naming both.
    """
    seen: dict[str, Path] = {}
    for picture in pictures:
        other = seen.setdefault(picture.stem, picture)
        if other is not picture:
            raise DataError(f"{picture}: has the same name as {other}: rename one, both go into one folder")


def read_labels(picture: Path) -> Labels:
    """The labels of a picture; a missing file means no insect.

    Raises DataError naming the line that is not `class x y width height`.
    """
    file = label_file(picture)
    rows = [] if not file.exists() else [*_rows(file)]
    table = np.array(rows, np.float64).reshape(-1, 5)
    return Labels(table[:, 0].astype(np.int64), table[:, 1:])


def write_labels(picture: Path, labels: Labels) -> None:
    """Write the label text that belongs to a picture."""
    file = label_file(picture)
    file.parent.mkdir(parents=True, exist_ok=True)
    pairs = zip(labels.classes, labels.boxes, strict=True)
    lines = [f"{name} " + " ".join(f"{value:.6f}" for value in box) + "\n" for name, box in pairs]
    file.write_text("".join(lines))


def write_description(folder: Path, names: tuple[str, ...], splits: tuple[str, ...]) -> Path:
    """Write data.yaml for pictures in folder/images/SPLIT; returns its path."""
    file = folder / "data.yaml"
    # No `path:`, not even ".": Ultralytics would take it from the current folder instead of the file's own.
    content: dict[str, Any] = {split: f"images/{split}" for split in splits}
    file.write_text(yaml.safe_dump({**content, "names": dict(enumerate(names))}, sort_keys=False))
    return file


def _content(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise DataError(f"{file}: no such data set description: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{file}: not a data set description: it must map train, val and names")
    if "download" in content:
        raise DataError(
            f"{file}: has a 'download:' entry, which trainers run as code: fetch the pictures yourself and remove it"
        )
    return content


def _names(file: Path, names: Any) -> tuple[str, ...]:
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[place] for place in range(len(names))]
    if not isinstance(names, list) or not names or len(set(map(str, names))) != len(names):
        raise DataError(f"{file}: 'names' must list every class once, numbered from 0")
    return tuple(map(str, names))


def _places(file: Path, root: Path, entry: Any) -> tuple[Path, ...]:
    entries = entry if isinstance(entry, list) else [entry]
    if not all(isinstance(item, str) for item in entries):
        raise DataError(f"{file}: a split must be a folder, a list file, or several of them; got {entry!r}")
    return tuple((root / item).resolve() for item in entries)


def _pictures_at(file: Path, place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (path for path in place.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    elif place.suffix == ".txt" and place.exists():
        yield from (_listed(place, number, line) for number, line in _numbered_lines(place))
    else:
        raise DataError(f"{file}: {place} is neither a folder of pictures nor a list of them")


def _listed(place: Path, number: int, line: str) -> Path:
    picture = place.parent / line
    if not picture.is_file():
        raise DataError(f"{place}:{number}: no such picture: {picture}")
    return picture


def _rows(file: Path) -> Iterator[list[float]]:
    for number, line in _numbered_lines(file):
        try:
            row = [float(part) for part in line.split()]
        except ValueError:
            row = []
        if len(row) != 5 or not np.isfinite(row).all() or row[0] < 0 or not row[0].is_integer():
            raise DataError(f"{file}:{number}: expected 'class x y width height', got {line!r}")
        yield row


def _numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1.

    Raises DataError when the file is not text.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not a text file: {error}") from error
    yield from ((number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip())


def _pair_digest(picture: Path) -> bytes:
    """SHA-256 of a picture's bytes, then of its labels'."""
    label = label_file(picture)
    pair = (picture.read_bytes(), label.read_bytes() if label.exists() else b"")
    return b"".join(hashlib.sha256(part).digest() for part in pair)
