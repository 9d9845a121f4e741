"""Cut large boards into square tiles with their labels, on the very grid that the trap uses."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from trap_contract.dataset import DataSet, Labels, check_stems, read_labels, write_description, write_labels
from trap_contract.pictures import read_picture, write_picture
from trap_contract.tiling import DEFAULT_OVERLAP, Tile, cut_tile, tile_grid

VISIBLE = 0.4
"""A box cut by the frame keeps its label when at least this part of its area is inside."""


def tile_dataset(data: DataSet, out: Path, size: int, overlap: int = DEFAULT_OVERLAP) -> Iterator[Path]:
    """Write every split of `data` as tiles under `out`, yielding each picture done; data.yaml comes last.

    Raises DataError, before anything is written, when two pictures of a split have the same name.
    """
    for split in data.splits:
        check_stems(data.pictures(split))
    for split in data.splits:
        folder = out / "images" / split
        folder.mkdir(parents=True, exist_ok=True)
        for picture in data.pictures(split):
            _tile_picture(picture, folder, size, overlap)
            yield picture
    write_description(out, data.names, tuple(data.splits))


def labels_in_tile(labels: Labels, tile: Tile, width: int, height: int) -> Labels:
    """The labels of a (height, width) picture as a tile sees them; boxes mostly outside are left out."""
    corners = labels.corners(width, height) - np.array([tile.left, tile.top] * 2)
    return visible_labels(labels.classes, corners, min(tile.size, width - tile.left), min(tile.size, height - tile.top))


def visible_labels(classes: NDArray[np.int64], corners: NDArray[np.float64], width: int, height: int) -> Labels:
    """The labels of boxes, in px and perhaps beyond the frame, that a (height, width) picture still shows."""
    inside = corners.clip(0, np.array([width, height] * 2))
    kept = _areas(inside) >= VISIBLE * _areas(corners)
    return Labels.from_corners(classes[kept], inside[kept], width, height)


def _tile_picture(picture: Path, folder: Path, size: int, overlap: int) -> None:
    pixels = read_picture(picture)
    height, width = pixels.shape[:2]
    labels = read_labels(picture)
    for tile in tile_grid(width, height, size, overlap):
        target = folder / f"{picture.stem}_{tile.left:04d}_{tile.top:04d}.png"
        write_picture(target, cut_tile(pixels, tile))
        write_labels(target, labels_in_tile(labels, tile, width, height))


def _areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = (corners[:, 2:] - corners[:, :2]).clip(1e-9)
    return np.asarray(sides[:, 0] * sides[:, 1])
