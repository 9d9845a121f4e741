"""Read YOLO text labels: Ultralytics' and Roboflow's data.yaml, darknet's obj.names, or folders with --names."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from trap_contract.dataset import SPLITS, DataSet, label_file
from trap_contract.errors import ConfigError, DataError
from trap_contract.pictures import PICTURE_SUFFIXES

from trap_training.pictures.foreign import SPLIT_WORDS, Entry, Foreign, Tally, box_of, folders_by_split, inside

_YAML = {".yaml", ".yml"}
_NAME_FILES = ("obj.names", "classes.txt", "_darknet.labels", "train/_darknet.labels")


def find_yolo(source: Path) -> Path | None:
    """The file of a data set that names its classes."""
    if source.is_file():
        return source if source.suffix in _YAML else None
    found = [*sorted(source.glob("*.yaml")), *sorted(source.glob("*.yml")), *(source / name for name in _NAME_FILES)]
    return next((file for file in found if file.is_file()), None)


def read_yolo(source: Path, names: tuple[str, ...]) -> Foreign:
    """Read a data set's pictures and label texts; outlines become their boxes. `names` stand in for a missing file.

    Raises DataError naming the file and line that is wrong, or a YAML that wants to download.
    """
    file = find_yolo(source)
    root = source if source.is_dir() else source.parent
    if file is not None and file.suffix in _YAML:
        data = DataSet.load(file)
        names, places = data.names, [*_described(root, file, data)]
    else:
        names, places = _names(file) or names, [*_darknet(root)]
    if not names:
        raise ConfigError(f"{source}: no file names the classes: give --names")
    tally = Tally()
    found = [(split, picture) for split, place in places for picture in _pictures(root, place)]
    return Foreign(names, [_entry(root, split, picture, len(names), tally) for split, picture in found], tally)


def _described(root: Path, file: Path, data: DataSet) -> Iterator[tuple[str, Path]]:
    """The places a YAML names for each split; Roboflow writes ../train/images for what is in ./train/images."""
    here = root.resolve()
    for split, places in data.splits.items():
        for place in places if split in SPLITS else ():
            is_beside = place.is_relative_to(here.parent) and not place.is_relative_to(here)
            yield split, inside(root, str(place.relative_to(here.parent) if is_beside else place), str(file))


def _names(file: Path | None) -> tuple[str, ...]:
    lines = file.read_text("utf-8", "replace").splitlines() if file else []
    return tuple(line.strip() for line in lines if line.strip())


def _darknet(root: Path) -> Iterator[tuple[str, Path]]:
    """The lists train.txt, valid.txt and test.txt, or the folders named like splits."""
    lists = [(SPLIT_WORDS[file.stem], file) for file in sorted(root.glob("*.txt")) if file.stem in SPLIT_WORDS]
    base = root / "images" if (root / "images").is_dir() else root
    yield from lists or folders_by_split(base)


def _pictures(root: Path, place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (path for path in sorted(place.rglob("*")) if path.suffix.lower() in PICTURE_SUFFIXES)
        return
    if not place.is_file():
        raise DataError(f"{place}: no such folder or list of pictures")
    for number, line in enumerate(place.read_text("utf-8", "replace").splitlines(), start=1):
        if line.strip():
            yield _listed(root, line.strip(), f"{place}:{number}")


def _listed(root: Path, line: str, where: str) -> Path:
    """CVAT writes data/obj_train_data/a.png for what is in obj_train_data/a.png."""
    for name in (line, line.removeprefix("data/")):
        picture = inside(root, name, where)
        if picture.is_file() and picture.suffix.lower() in PICTURE_SUFFIXES:
            return picture
    raise DataError(f"{where}: no such picture: {line[:200]!r}")


def _entry(root: Path, split: str, picture: Path, classes: int, tally: Tally) -> Entry:
    place = inside(root, str(picture), str(picture))
    file = label_file(place)
    rows = [*_rows(file, classes, tally)] if file.is_file() else []
    return Entry(split, place, np.array(rows, np.float64).reshape(-1, 5), is_relative=True)


def _rows(file: Path, classes: int, tally: Tally) -> Iterator[list[float]]:
    for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = np.array(line.split(), np.float64)
        except ValueError:
            row = np.empty(0)
        is_outline = len(row) >= 7 and len(row) % 2 == 1
        if not (len(row) == 5 or is_outline) or not np.isfinite(row).all() or not row[0].is_integer():
            raise DataError(f"{file}:{number}: expected 'class x y width height' or an outline, got {line[:80]!r}")
        if not 0 <= row[0] < classes:
            raise DataError(f"{file}:{number}: class {row[0]:g} is not among the {classes} names")
        tally.outlines += is_outline
        centre, half = row[1:3], row[3:5] / 2
        yield [row[0], *(box_of(row[1:]) if is_outline else [*(centre - half), *(centre + half)])]
