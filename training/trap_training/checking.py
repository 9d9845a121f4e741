"""Look for what spoils training: broken labels, unreadable pictures, the same picture on two sides."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from trap_contract.dataset import DataSet, Labels, read_labels
from trap_contract.errors import DataError

TINY_PX = 4.0
_OUTSIDE = 1e-3


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one file; only errors make the check fail."""

    file: Path
    what: str
    is_error: bool = True


@dataclass(slots=True)
class Findings:
    """Everything a check saw: faults, and for each split its pictures and boxes by class."""

    faults: list[Fault] = field(default_factory=list)
    pictures: dict[str, int] = field(default_factory=dict)
    boxes: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether there is no error; warnings are allowed."""
        return not any(fault.is_error for fault in self.faults)


def check_dataset(data: DataSet, findings: Findings) -> Iterator[Path]:
    """Fill `findings`, yielding each picture done."""
    seen: dict[bytes, list[tuple[str, Path]]] = defaultdict(list)
    for split in data.splits:
        pictures = data.pictures(split)
        findings.pictures[split], findings.boxes[split] = len(pictures), Counter()
        for picture in pictures:
            seen[hashlib.sha256(picture.read_bytes()).digest()].append((split, picture))
            findings.faults += _faults(data, picture, findings.boxes[split])
            yield picture
    findings.faults += _duplicates(seen)


def _faults(data: DataSet, picture: Path, boxes: Counter[str]) -> Iterator[Fault]:
    pixels = cv2.imread(str(picture))
    if pixels is None:
        yield Fault(picture, "can't be read as a picture")
        return
    try:
        labels = read_labels(picture)
    except DataError as error:
        yield Fault(picture, str(error))
        return
    known = labels.classes < len(data.names)
    if not known.all():
        yield Fault(picture, f"class {labels.classes.max()} is not among the {len(data.names)} names")
    boxes.update(data.names[name] for name in labels.classes[known])
    yield from _box_faults(picture, labels, pixels.shape[1], pixels.shape[0])


def _box_faults(picture: Path, labels: Labels, width: int, height: int) -> Iterator[Fault]:
    halves = labels.boxes[:, 2:] / 2
    low, high = labels.boxes[:, :2] - halves, labels.boxes[:, :2] + halves
    if ((low < -_OUTSIDE) | (high > 1 + _OUTSIDE)).any():
        yield Fault(picture, "a box reaches outside the picture")
    sides = labels.boxes[:, 2:] * np.array([width, height])
    if (sides <= 0).any():
        yield Fault(picture, "a box has no area")
    elif (sides < TINY_PX).any():
        yield Fault(picture, f"a box is under {TINY_PX:g} px", is_error=False)
    rows = np.column_stack([labels.classes, labels.boxes])
    if len(np.unique(rows, axis=0)) < len(rows):
        yield Fault(picture, "a box is given twice")


def _duplicates(seen: dict[bytes, list[tuple[str, Path]]]) -> Iterator[Fault]:
    for places in seen.values():
        split, first = places[0]
        for other, picture in places[1:]:
            where = f"the same picture is {first} in split {split}"
            yield Fault(picture, where, is_error=other != split)
