"""A data set that a tiny network learns in seconds: discs on a grainy board, a colour for each of the five classes."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from trap_contract.dataset import Labels, write_description, write_labels

CLASSES = ("Female", "Male", "Incomplete", "Out of Focus", "Undefined")
WIDTH, HEIGHT = 96, 72
"""Not square, so that every result depends on the letterbox."""

_COLOURS = ((40, 40, 220), (40, 200, 40), (220, 60, 40), (40, 210, 220), (210, 40, 210))
_MOST = 3


def draw_discs(rng: np.random.Generator) -> tuple[NDArray[np.uint8], Labels]:
    """One to three discs that do not touch, and their labels."""
    board = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
    rows: list[list[float]] = []
    for _ in range(1 + int(rng.integers(_MOST))):
        radii = rng.uniform(7, 14, 2)
        x, y = rng.uniform(radii, np.array([WIDTH, HEIGHT]) - radii)
        if all(abs(x - row[1]) > radii[0] + row[3] / 2 or abs(y - row[2]) > radii[1] + row[4] / 2 for row in rows):
            rows.append([float(rng.integers(len(CLASSES))), x, y, *(2 * radii)])
    for name, x, y, width, height in rows:
        axes = (round(width / 2), round(height / 2))
        cv2.ellipse(board, (round(x), round(y)), axes, 0, 0, 360, _COLOURS[int(name)], -1, cv2.LINE_AA)
    table = np.array(rows)
    grain = rng.normal(0, 8, board.shape)
    boxes = table[:, 1:] / np.array([WIDTH, HEIGHT] * 2)
    return np.clip(board + grain, 0, 255).astype(np.uint8), Labels(table[:, 0].astype(np.int64), boxes)


def write_discs(folder: Path, **pictures: int) -> Path:
    """Write so many pictures of each split; returns data.yaml."""
    for split, count in pictures.items():
        (folder / "images" / split).mkdir(parents=True)
        rng = np.random.default_rng(list(split.encode()))
        for number in range(count):
            picture = folder / "images" / split / f"{number:03}.png"
            pixels, labels = draw_discs(rng)
            cv2.imwrite(str(picture), pixels)
            write_labels(picture, labels)
    return write_description(folder, CLASSES, tuple(pictures))
