"""What the tests of the importer share: small pictures, and an import from beginning to end."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from trap_contract.dataset import DataSet, read_labels
from trap_contract.errors import DataError
from trap_training.pictures.importing import Format, Summary, read_foreign, write_imported

WIDTH, HEIGHT = 40, 20
Boxes = list[tuple[str, list[float]]]


def add_picture(file: Path) -> Path:
    """A picture of 40x20 px."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((HEIGHT, WIDTH, 3), 120, np.uint8))
    return file


def refusal(read: Callable[[], object]) -> str | None:
    """What a reader says when it refuses; None when it reads."""
    try:
        read()
    except DataError as error:
        return str(error)
    return None


def imported(
    source: Path, out: Path, kind: Format = Format.AUTO, names: tuple[str, ...] = ()
) -> tuple[Summary, dict[str, Boxes]]:
    """The summary of an import, and for each SPLIT/NAME the class names and corners in px read back from disk."""
    foreign, told = read_foreign(source, kind, names)
    summary = Summary(told, foreign.names, foreign.tally)
    written = list(write_imported(foreign, summary, out))
    data = DataSet.load(out / "data.yaml")
    found = {f"{split}/{p.name}": p for split in data.splits for p in data.pictures(split)}
    assert sorted(p.name for p in written) == sorted(p.name for p in found.values())
    return summary, {place: _boxes(data, picture) for place, picture in found.items()}


def _boxes(data: DataSet, picture: Path) -> Boxes:
    labels = read_labels(picture)
    corners = labels.corners(WIDTH, HEIGHT).round(3).tolist()
    return [(data.names[number], box) for number, box in zip(labels.classes, corners, strict=True)]
