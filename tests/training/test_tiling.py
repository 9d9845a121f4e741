"""Tiles of boards for training: each has the labels that it shows."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.dataset import DataSet, Labels, read_labels, write_description, write_labels
from trap_contract.errors import DataError
from trap_contract.tiling import Tile
from trap_training.pictures.tiling import VISIBLE, labels_in_tile, tile_dataset

WIDTH, HEIGHT = 200, 120


def labels_of(*corners: tuple[float, float, float, float]) -> Labels:
    """Labels of class 0, 1, 2, ... from corners in px of the board."""
    table = np.array(corners, np.float64).reshape(-1, 4)
    low, high = table[:, :2], table[:, 2:]
    boxes = np.concatenate([(low + high) / 2, high - low], axis=1) / np.array([WIDTH, HEIGHT] * 2)
    return Labels(np.arange(len(table)), boxes)


def seen(tile: Tile, *corners: tuple[float, float, float, float]) -> dict[int, list[float]]:
    """Corners in the tile's px by class."""
    labels = labels_in_tile(labels_of(*corners), tile, WIDTH, HEIGHT)
    width, height = min(tile.size, WIDTH - tile.left), min(tile.size, HEIGHT - tile.top)
    found = labels.corners(width, height).round(6).tolist()
    return dict(zip(labels.classes.tolist(), found, strict=True))


def test_a_box_inside_moves_with_the_tile() -> None:
    assert seen(Tile(50, 20, 100), (60, 30, 90, 50)) == {0: [10, 10, 40, 30]}


def test_a_box_outside_is_left_out() -> None:
    assert seen(Tile(0, 0, 100), (120, 10, 140, 30), (10, 10, 30, 30)) == {1: [10, 10, 30, 30]}


def test_a_box_cut_by_the_tile_is_cut_in_its_label() -> None:
    assert seen(Tile(0, 0, 100), (80, 10, 120, 30)) == {0: [80, 10, 100, 30]}


@pytest.mark.parametrize(("left", "is_kept"), [(95, False), (93, False), (91, True), (90, True)])
def test_a_box_keeps_its_label_when_four_tenths_of_it_are_inside(left: int, is_kept: bool) -> None:
    assert VISIBLE == 0.4
    assert (0 in seen(Tile(0, 0, 100), (left, 10, left + 20, 30))) == is_kept


def test_a_tile_larger_than_the_board_ends_with_it() -> None:
    assert seen(Tile(0, 0, 360), (150, 100, 200, 120)) == {0: [150, 100, 200, 120]}


@given(
    st.lists(st.tuples(st.integers(0, 180), st.integers(0, 100)), max_size=5), st.integers(0, 100), st.integers(0, 60)
)
def test_labels_of_a_tile_lie_inside_it(places: list[tuple[int, int]], left: int, top: int) -> None:
    corners = [(float(x), float(y), x + 20.0, y + 20.0) for x, y in places]
    for box in seen(Tile(left, top, 60), *corners).values():
        assert 0 <= box[0] < box[2] <= 60
        assert 0 <= box[1] < box[3] <= 60


def test_a_data_set_is_cut_into_tiles_that_show_the_board(tmp_path: Path) -> None:
    board = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    picture = tmp_path / "boards" / "images" / "train" / "b1.png"
    picture.parent.mkdir(parents=True)
    cv2.imwrite(str(picture), board)
    write_labels(picture, labels_of((10, 10, 30, 30), (150, 70, 190, 110)))
    source = DataSet.load(write_description(tmp_path / "boards", ("a", "b"), ("train",)))

    assert list(tile_dataset(source, tmp_path / "tiles", 100, 20)) == source.pictures("train")

    tiles = DataSet.load(tmp_path / "tiles" / "data.yaml")
    assert tiles.names == source.names
    assert [tile.name for tile in tiles.pictures("train")] == [
        f"b1_{left:04}_{top:04}.png" for left in (0, 50, 100) for top in (0, 20)
    ]
    for tile in tiles.pictures("train"):
        left, top = map(int, tile.stem.split("_")[1:])
        assert np.array_equal(cv2.imread(str(tile)), board[top : top + 100, left : left + 100])
    shown = read_labels(tiles.pictures("train")[-1])
    assert shown.classes.tolist() == [1]
    assert shown.corners(100, 100) == pytest.approx(np.array([[50, 50, 90, 90]]), abs=1e-3)


def test_an_unreadable_board_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "images" / "train" / "b.png"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no picture")
    data = DataSet.load(write_description(tmp_path, ("a",), ("train",)))
    with pytest.raises(DataError, match=r"b\.png: can't be read as a picture"):
        list(tile_dataset(data, tmp_path / "tiles", 100))


def test_two_boards_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("day1", "day2"):
        place = tmp_path / "images" / "train" / folder
        place.mkdir(parents=True)
        cv2.imwrite(str(place / "b.png"), np.zeros((50, 50, 3), np.uint8))
    data = DataSet.load(write_description(tmp_path, ("a",), ("train",)))
    with pytest.raises(DataError, match=r"day2/b\.png: has the same name as .*day1/b\.png"):
        list(tile_dataset(data, tmp_path / "tiles", 40, 10))
    assert not (tmp_path / "tiles").exists()
