"""Divide pictures into train, val and test so that no trap or session is on two sides."""

import hashlib
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from trap_contract.dataset import SPLITS, UNLABELLED, DataSet, check_stems, label_file, write_description
from trap_contract.errors import ConfigError, DataError


def assign_splits(
    pictures: list[Path], ratios: tuple[float, float, float], group: str | None, seed: int
) -> dict[str, list[Path]]:
    """Pictures of each split; those whose names give the same `group` (a regular expression) stay together.

    Groups go, in an order drawn from the seed, to the split that is furthest below its share.
    Raises ConfigError for ratios that are not positive shares or a group that is not an expression.
    """
    if min(ratios) < 0 or sum(ratios) <= 0:
        raise ConfigError(f"ratios {ratios} must be three shares, such as 60/20/20")
    members = _grouped(pictures, group)
    total = sum(ratios)
    wanted = {split: len(pictures) * share / total for split, share in zip(SPLITS, ratios, strict=True)}
    given: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for name in sorted(members, key=lambda name: _draw(seed, name)):
        split = max(SPLITS, key=lambda split: wanted[split] - len(given[split]))
        given[split] += members[name]
    return {split: sorted(found) for split, found in given.items() if found}


def draw_subset(data: DataSet, train: int, val: int, group: str | None, seed: int) -> dict[str, list[Path]]:
    """A small labelled part of a data set: its train pictures become train, val and unlabelled, its val is the test.

    Whole groups are drawn until train and then val have at least so many pictures, so that what is trained on, chosen
    by and tested on come from different traps. Raises DataError when the train pictures don't suffice.
    """
    members = _grouped(data.pictures("train"), group)
    names = sorted(members, key=lambda name: _draw(seed, name))
    drawn: dict[str, list[Path]] = {"train": [], "val": [], UNLABELLED: []}
    for name in names:
        wanting = [split for split, count in (("train", train), ("val", val)) if len(drawn[split]) < count]
        drawn[[*wanting, UNLABELLED][0]] += members[name]
    if len(drawn["val"]) < val or not drawn["train"]:
        total = sum(map(len, drawn.values()))
        raise DataError(f"{data.file}: {total} train pictures are too few for {train} to train and {val} to choose by")
    return {**{split: sorted(found) for split, found in drawn.items() if found}, "test": data.pictures("val")}


def write_splits(splits: dict[str, list[Path]], names: tuple[str, ...], out: Path) -> Iterator[Path]:
    """Copy pictures and labels to out/images/SPLIT and out/labels/SPLIT, yielding each; data.yaml comes last.

    The labels of unlabelled pictures stay behind.
    Raises DataError, before anything is written, when two pictures of a split have the same name.
    """
    for pictures in splits.values():
        check_stems(pictures)
    for split, pictures in splits.items():
        for picture in pictures:
            target = out / "images" / split / picture.name
            pairs = [(picture, target), (label_file(picture), label_file(target))]
            for source, place in pairs[:1] if split == UNLABELLED else pairs:
                place.parent.mkdir(parents=True, exist_ok=True)
                if source.exists():
                    shutil.copyfile(source, place)
            yield target
    write_description(out, names, tuple(splits))


def _grouped(pictures: list[Path], group: str | None) -> dict[str, list[Path]]:
    try:
        pattern = re.compile(group or r".*")
    except re.error as error:
        raise ConfigError(f"--group {group!r} is not a regular expression: {error}") from error
    members: dict[str, list[Path]] = defaultdict(list)
    for picture in pictures:
        found = pattern.search(picture.name)
        members[found.group(1 if found.lastindex else 0) if found else picture.name].append(picture)
    return members


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
