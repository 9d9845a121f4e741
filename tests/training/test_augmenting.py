"""Variants of train pictures: boxes follow their insects, a seed names one set of bytes, other splits stay."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from trap_contract.dataset import UNLABELLED, DataSet, Labels, read_labels, write_description, write_labels
from trap_contract.errors import DataError
from trap_training.pictures.augmenting import augment_dataset, vary

WIDTH, HEIGHT = 96, 64
GROUND, INSECT = 60, 250


def board(*corners: tuple[int, int, int, int]) -> tuple[np.ndarray, Labels]:
    """Bright rectangles on a dark board, and their labels of class 0, 1, 2, ..."""
    pixels = np.full((HEIGHT, WIDTH, 3), GROUND, np.uint8)
    for left, top, right, bottom in corners:
        pixels[top:bottom, left:right] = INSECT
    table = np.array(corners, np.float64).reshape(-1, 4)
    return pixels, Labels.from_corners(np.arange(len(table)), table, WIDTH, HEIGHT)


def bright_box(pixels: np.ndarray) -> np.ndarray:
    """Corners of what is bright, without single noisy pixels."""
    calm = cv2.medianBlur(pixels[..., 1], 5)
    rows, columns = np.nonzero(calm > (GROUND + INSECT) / 2)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Two train pictures, one val picture, one unlabelled."""
    folder = tmp_path_factory.mktemp("source")
    for split, count in (("train", 2), ("val", 1), (UNLABELLED, 1)):
        (folder / "images" / split).mkdir(parents=True)
        for number in range(count):
            pixels, labels = board((20 + 8 * number, 16, 44, 40))
            picture = folder / "images" / split / f"{split}{number}.png"
            cv2.imwrite(str(picture), pixels)
            if split != UNLABELLED:
                write_labels(picture, labels)
    return DataSet.load(write_description(folder, ("Female",), ("train", "val", UNLABELLED)))


def augmented(source: DataSet, out: Path, seed: int, jobs: int) -> dict[str, bytes]:
    """Every file of an augmented data set by its place."""
    for _ in augment_dataset(source, out, 2, seed, jobs):
        pass
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in out.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def files(source: DataSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return augmented(source, tmp_path_factory.mktemp("out"), seed=5, jobs=1)


def test_a_box_follows_its_insect() -> None:
    pixels, labels = board((30, 24, 62, 40))
    for seed in range(25):
        varied, found = vary(pixels, labels, np.random.default_rng(seed))
        (label,) = found.corners(varied.shape[1], varied.shape[0])
        shown = bright_box(varied)
        # Never much smaller than the insect, and looser only by what turning does.
        assert (label[:2] <= shown[:2] + 2).all()
        assert (label[2:] >= shown[2:] - 2).all()
        assert abs((label[:2] + label[2:]) / 2 - (shown[:2] + shown[2:]) / 2).max() < 3


def test_an_insect_turned_out_of_the_picture_loses_its_label_and_others_keep_theirs() -> None:
    pixels, labels = board((0, 0, 8, 8), (40, 24, 56, 40))
    kept = [vary(pixels, labels, np.random.default_rng(seed))[1].classes.tolist() for seed in range(25)]
    assert all(1 in classes for classes in kept)
    assert {len(classes) for classes in kept} == {1, 2}


def test_quarter_turns_happen_and_exchange_the_sides() -> None:
    pixels, labels = board((30, 24, 62, 40))
    shapes = {vary(pixels, labels, np.random.default_rng(seed))[0].shape for seed in range(10)}
    assert shapes == {(HEIGHT, WIDTH, 3), (WIDTH, HEIGHT, 3)}


def test_a_picture_without_insects_stays_without() -> None:
    assert len(vary(*board(), np.random.default_rng(0))[1]) == 0


def test_the_same_seed_makes_the_same_bytes_however_many_jobs(
    files: dict[str, bytes], source: DataSet, tmp_path: Path
) -> None:
    assert augmented(source, tmp_path, seed=5, jobs=2) == files


def test_another_seed_makes_other_variants(files: dict[str, bytes], source: DataSet, tmp_path: Path) -> None:
    other = augmented(source, tmp_path, seed=6, jobs=1)
    variants = [name for name in files if "_v" in name and name.endswith(".png")]
    assert len(variants) == 4
    assert len({files[name] for name in variants} | {other[name] for name in variants}) == 8


def test_only_train_pictures_are_varied_and_all_originals_are_copied(files: dict[str, bytes], source: DataSet) -> None:
    pictures = {name for name in files if name.startswith("images/")}
    variants = {f"images/train/train{n}_v{v}.png" for n in (0, 1) for v in (1, 2)}
    originals = {f"images/{split}/{p.name}" for split in source.splits for p in source.pictures(split)}
    assert pictures == variants | originals
    for split in ("train", "val"):
        for picture in source.pictures(split):
            assert files[f"images/{split}/{picture.name}"] == picture.read_bytes()
            assert len(read_labels(picture)) == files[f"labels/{split}/{picture.stem}.txt"].count(b"\n")


def test_a_picture_named_like_a_variant_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "images" / "train").mkdir(parents=True)
    for name in ("a.png", "a_v1.png"):
        cv2.imwrite(str(tmp_path / "images" / "train" / name), board()[0])
    data = DataSet.load(write_description(tmp_path, ("a",), ("train",)))
    with pytest.raises(DataError, match=r"a_v1\.png: has the same name as"):
        list(augment_dataset(data, tmp_path / "out", 1, 0, 1))
    assert not (tmp_path / "out").exists()
