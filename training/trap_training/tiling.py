"""Cut large boards into square tiles with their labels, on the very grid that the trap uses."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from trap_contract.dataset import DataSet, Labels, check_stems, read_labels, write_description, write_labels
from trap_contract.pictures import read_picture
from trap_contract.tiling import DEFAULT_OVERLAP, Tile, cut_tile, tile_grid

VISIBLE = 0.4
"""A box cut by a tile keeps its label when at least this part of its area is inside."""


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
    sides = np.array([min(tile.size, width - tile.left), min(tile.size, height - tile.top)] * 2, np.float64)
    inside = corners.clip(0, sides)
    kept = _areas(inside) >= VISIBLE * _areas(corners)
    low, high = inside[kept, :2], inside[kept, 2:]
    boxes = np.concatenate([(low + high) / 2, high - low], axis=1) / sides
    return Labels(labels.classes[kept], boxes)


def _tile_picture(picture: Path, folder: Path, size: int, overlap: int) -> None:
    pixels = read_picture(picture)
    height, width = pixels.shape[:2]
    labels = read_labels(picture)
    for tile in tile_grid(width, height, size, overlap):
        target = folder / f"{picture.stem}_{tile.left:04d}_{tile.top:04d}.png"
        cv2.imwrite(str(target), cut_tile(pixels, tile))
        write_labels(target, labels_in_tile(labels, tile, width, height))


def _areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = (corners[:, 2:] - corners[:, :2]).clip(1e-9)
    return np.asarray(sides[:, 0] * sides[:, 1])
