"""What every foreign data-set format is read into, and what no file of one may do: name a place outside its folder."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from trap_contract.errors import DataError
from trap_contract.pictures import PICTURE_SUFFIXES

SPLIT_WORDS = {"train": "train", "valid": "val", "val": "val", "validation": "val", "test": "test"}
"""What other tools call our splits."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture of a foreign data set: where it is, and its boxes.

    rows (N, 5): class, x0, y0, x1, y1, in px, or in 0..1 when `is_relative`; `size` is the width and height that the
    boxes were drawn on, where the format says.
    """

    split: str
    picture: Path
    rows: NDArray[np.float64]
    size: tuple[int, int] | None = None
    is_relative: bool = False


@dataclass(slots=True)
class Tally:
    """What was done to boxes and pictures on their way in."""

    clipped: int = 0
    outside: int = 0
    without_area: int = 0
    crowds: int = 0
    outlines: int = 0
    pictures_without_labels: int = 0


@dataclass(frozen=True, slots=True)
class Foreign:
    """A foreign data set, read but not yet checked against its pictures."""

    names: tuple[str, ...]
    entries: list[Entry]
    tally: Tally = field(default_factory=Tally)


def inside(root: Path, name: str, where: str) -> Path:
    """The place that a name in a file means, below `root`.

    Raises DataError, beginning with `where`, when it is outside, links followed.
    """
    place = root / PurePosixPath(name.replace("\\", "/"))
    try:
        is_inside = place.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # too long, a circle of links, a NUL
        is_inside = False
    if not is_inside:
        raise DataError(f"{where}: {name[:200]!r} is outside {root}: a data set may name only what is in its folder")
    return place


def find_picture(root: Path, folders: Iterable[Path], name: str, where: str) -> Path:
    """The picture of that name in the first of the folders that has it.

    Raises DataError, beginning with `where`, when there is none, it is no picture, or it is outside `root`.
    """
    if Path(name).suffix.lower() not in PICTURE_SUFFIXES:
        raise DataError(f"{where}: {name!r} is not a picture: know {', '.join(sorted(PICTURE_SUFFIXES))}")
    tried = list(folders)
    for folder in tried:
        place = inside(root, str(PurePosixPath(folder.relative_to(root).as_posix(), name)), where)
        if place.is_file():
            return place
    raise DataError(f"{where}: no picture {name!r} in {', '.join(map(str, tried))}")


def folders_by_split(root: Path) -> Iterator[tuple[str, Path]]:
    """The folders below `root` named like a split, each with ours; `root` itself as train when there is none."""
    found = [(SPLIT_WORDS[place.name.lower()], place) for place in sorted(root.iterdir()) if _is_split(place)]
    yield from found or [("train", root)]


def _is_split(place: Path) -> bool:
    return place.is_dir() and place.name.lower() in SPLIT_WORDS


def box_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """x0, y0, x1, y1 around an outline x, y, x, y, ..."""
    pairs = points.reshape(-1, 2)
    return np.concatenate([pairs.min(axis=0), pairs.max(axis=0)])
