"""Look for what spoils training: broken labels, unreadable pictures, the same or nearly the same picture twice."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from trap_contract.dataset import UNLABELLED, DataSet, Labels, read_labels
from trap_contract.errors import DataError
from trap_contract.pictures import read_picture

from trap_training.pictures.resemblance import Look, alike, look_at

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
    """Fill `findings`, yielding each picture done; the labels of unlabelled pictures are not looked at."""
    seen: dict[bytes, _Seen] = {}
    for split in data.splits:
        pictures = data.pictures(split)
        findings.pictures[split], findings.boxes[split] = len(pictures), Counter()
        for picture in pictures:
            findings.faults += _faults(data, split, picture, seen, findings.boxes[split])
            yield picture
    findings.faults += _near_duplicates([*seen.values()])


@dataclass(frozen=True, slots=True)
class _Seen:
    split: str
    picture: Path
    look: Look


def _faults(data: DataSet, split: str, picture: Path, seen: dict[bytes, _Seen], boxes: Counter[str]) -> Iterator[Fault]:
    try:
        pixels = read_picture(picture)
    except DataError:
        yield Fault(picture, "can't be read as a picture")
        return
    yield from _compared(seen, _Seen(split, picture, look_at(pixels)))
    if split == UNLABELLED:
        return
    try:
        yield from _label_faults(data, picture, pixels, boxes)
    except DataError as error:
        yield Fault(picture, str(error))


def _compared(seen: dict[bytes, _Seen], now: _Seen) -> Iterator[Fault]:
    first = seen.setdefault(hashlib.sha256(now.picture.read_bytes()).digest(), now)
    if first is not now:
        yield _twice(first, now, "the same picture is")


def _near_duplicates(seen: list[_Seen]) -> Iterator[Fault]:
    """One fault for each picture that shows what an earlier one shows, of another split where there is one."""
    for place, others in alike([one.look for one in seen]):
        now = seen[place]
        first = max((seen[other] for other in others), key=lambda one: _spoils(one.split, now.split))
        yield _twice(first, now, "nearly the same picture is")


def _twice(first: _Seen, now: _Seen, what: str) -> Fault:
    where = f"{what} {first.picture} in split {first.split}"
    return Fault(now.picture, where, is_error=_spoils(first.split, now.split))


def _spoils(one: str, other: str) -> bool:
    """Whether a picture in both places makes a score worth less; train and unlabelled are both learnt from."""
    return one != other and {one, other} != {"train", UNLABELLED}


def _label_faults(data: DataSet, picture: Path, pixels: NDArray[np.uint8], boxes: Counter[str]) -> Iterator[Fault]:
    labels = read_labels(picture)
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
