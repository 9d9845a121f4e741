"""Rendered data sets: a seed names one set of bytes."""

from pathlib import Path

import numpy as np
import pytest
from trap_contract.dataset import DataSet, read_labels
from trap_scene import CLASSES, render_picture
from trap_training.pictures.rendering import labels_of, render_dataset

COUNTS = {"train": 6, "val": 3}


def rendered(folder: Path, seed: int, jobs: int) -> dict[str, bytes]:
    """Every file of a rendered data set by its place."""
    for _ in render_dataset(folder, COUNTS, 64, seed, jobs):
        pass
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return rendered(tmp_path_factory.mktemp("first"), seed=3, jobs=1)


def test_the_same_seed_makes_the_same_bytes_however_many_jobs(files: dict[str, bytes], tmp_path: Path) -> None:
    assert rendered(tmp_path, seed=3, jobs=2) == files


def test_another_seed_makes_other_pictures(files: dict[str, bytes], tmp_path: Path) -> None:
    other = rendered(tmp_path, seed=4, jobs=1)
    assert all(other[name] != files[name] for name in files if name.endswith(".png"))


def test_no_picture_comes_twice_within_or_between_splits(files: dict[str, bytes]) -> None:
    pictures = [content for name, content in files.items() if name.endswith(".png")]
    assert len(set(pictures)) == sum(COUNTS.values())


def test_the_data_set_describes_itself(tmp_path: Path) -> None:
    rendered(tmp_path, seed=3, jobs=1)
    data = DataSet.load(tmp_path / "data.yaml")
    assert data.names == CLASSES
    assert {split: len(data.pictures(split)) for split in data.splits} == COUNTS
    assert sum(len(read_labels(picture)) for picture in data.pictures("train")) > 0


def test_labels_are_the_truth_of_the_picture() -> None:
    picture = render_picture(np.random.default_rng(2), 128, 96)
    labels = labels_of(picture)
    assert labels.classes.tolist() == [insect.label for insect in picture.truth]
    assert labels.corners(128, 96) == pytest.approx(np.array([insect.box for insect in picture.truth]))
