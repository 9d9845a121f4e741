"""Bring a data set of another format into ours, counting everything that had to be changed or left out."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from trap_contract.dataset import SPLITS, Labels, check_stems, write_description, write_labels
from trap_contract.errors import ConfigError, DataError
from trap_contract.pictures import read_picture

from trap_training.pictures.coco import find_coco, read_coco
from trap_training.pictures.foreign import Entry, Foreign, Tally
from trap_training.pictures.voc import find_voc, read_voc
from trap_training.pictures.yolo import find_yolo, read_yolo

_TOLERANCE = 1e-3  # as in `trap-data check`: a box that reaches out by less is rounding, not a fault
_SMALLEST = 1e-6  # the last digit of a label text


class Format(StrEnum):
    """Formats that can be read; Roboflow's exports are one of the other three in folders of its own."""

    AUTO = "auto"
    COCO = "coco"
    VOC = "voc"
    ROBOFLOW = "roboflow"
    YOLO = "yolo"


@dataclass(slots=True)
class Summary:
    """What an import wrote: pictures and boxes of each split, and what was changed or left out."""

    format: Format
    names: tuple[str, ...]
    tally: Tally
    pictures: dict[str, int] = field(default_factory=dict)
    boxes: dict[str, int] = field(default_factory=dict)


def read_foreign(source: Path, kind: Format, names: tuple[str, ...]) -> tuple[Foreign, Format]:
    """Read a foreign data set, and say which format it has; `names` number its classes in another order.

    Raises ConfigError when the format can't be told, DataError naming the file and place that is wrong.
    """
    source = source.resolve()
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    kind = _told(source, names) if kind in {Format.AUTO, Format.ROBOFLOW} else kind
    if kind == Format.YOLO:
        foreign = read_yolo(source, names)
    else:
        foreign = read_coco(source) if kind == Format.COCO else read_voc(source)
    if len(set(foreign.names)) != len(foreign.names):
        raise DataError(f"{source}: names a class twice: {', '.join(foreign.names)}")
    if not foreign.entries:
        raise DataError(f"{source}: has no picture")
    return _renumbered(source, foreign, names), kind


def write_imported(foreign: Foreign, summary: Summary, out: Path) -> Iterator[Path]:
    """Copy pictures to out/images/SPLIT and write their labels, yielding each; data.yaml comes last.

    Raises DataError for two pictures of one name in a split (before anything is written), for one that can't be read,
    and for one that has not the size its boxes were drawn on.
    """
    by_split: dict[str, list[Entry]] = defaultdict(list)
    for entry in foreign.entries:
        by_split[entry.split].append(entry)
    for entries in by_split.values():
        check_stems([entry.picture for entry in entries])
    for split, entries in by_split.items():
        (out / "images" / split).mkdir(parents=True, exist_ok=True)
        summary.pictures[split] = summary.boxes[split] = 0
        for entry in entries:
            labels = _labels(entry, summary.tally)
            target = out / "images" / split / entry.picture.name
            shutil.copyfile(entry.picture, target)
            write_labels(target, labels)
            summary.pictures[split] += 1
            summary.boxes[split] += len(labels)
            yield target
    write_description(out, foreign.names, tuple(split for split in SPLITS if split in by_split))


def fit_boxes(rows: NDArray[np.float64], tally: Tally) -> Labels:
    """Labels of rows class, x0, y0, x1, y1 in 0..1, cut to the picture; what is left out is counted."""
    corners, frame = rows[:, 1:], rows[:, 1:].clip(0, 1)
    has_area = (corners[:, 2:] - corners[:, :2] >= _SMALLEST).all(axis=1)
    shows = has_area & (frame[:, 2:] - frame[:, :2] >= _SMALLEST).all(axis=1)
    tally.without_area += int((~has_area).sum())
    tally.outside += int((has_area & ~shows).sum())
    tally.clipped += int((abs(corners - frame)[shows] > _TOLERANCE).any(axis=1).sum())
    return Labels.from_corners(rows[shows, 0].astype(np.int64), frame[shows], 1, 1)


def _told(source: Path, names: tuple[str, ...]) -> Format:
    found = {Format.YOLO: find_yolo(source), Format.COCO: find_coco(source), Format.VOC: find_voc(source)}
    kinds = [kind for kind, files in found.items() if files] or ([Format.YOLO] if names else [])
    if len(kinds) != 1:
        what = "looks like " + " and ".join(kinds) if kinds else "no data.yaml, COCO json, VOC xml or obj.names there"
        raise ConfigError(f"{source}: {what}: name it with --format")
    return kinds[0]


def _renumbered(source: Path, foreign: Foreign, names: tuple[str, ...]) -> Foreign:
    if not names or names == foreign.names:
        return foreign
    missing = [name for name in foreign.names if name not in names]
    if missing:
        raise ConfigError(f"{source}: has the classes {', '.join(foreign.names)}: --names lacks {', '.join(missing)}")
    numbers = np.array([names.index(name) for name in foreign.names], np.float64)
    return replace(foreign, names=names, entries=[_with_classes(entry, numbers) for entry in foreign.entries])


def _with_classes(entry: Entry, numbers: NDArray[np.float64]) -> Entry:
    classes = numbers[entry.rows[:, 0].astype(np.int64)]
    return replace(entry, rows=np.column_stack([classes, entry.rows[:, 1:]]))


def _labels(entry: Entry, tally: Tally) -> Labels:
    height, width = read_picture(entry.picture).shape[:2]
    if entry.size not in {None, (width, height)}:
        told = "x".join(map(str, entry.size or ()))
        raise DataError(f"{entry.picture}: is {width}x{height} px, its annotation says {told}: export both again")
    scale = np.array([1.0, *([1.0] * 4 if entry.is_relative else [width, height] * 2)])
    return fit_boxes(entry.rows / scale, tally)
