"""Contact sheets: a fair sample of each split with its boxes drawn, to see at a glance whether labels are right."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke
from numpy.typing import NDArray
from trap_contract.dataset import UNLABELLED, DataSet, read_labels
from trap_contract.pictures import read_picture

from trap_training.pictures.balance import class_names

PICTURES = 20
_WIDTH_INCHES, _DPI = 16.0, 110
_LARGE_PX = 480  # a board: it needs a wider cell for its insects to be seen
_MOST_NAMED = 6  # more names than this would hide the picture; colours still tell
_CASING: list[AbstractPathEffect] = [withStroke(linewidth=2.6, foreground="white")]


def draw_sheets(data: DataSet, out: Path, seed: int) -> Iterator[Path]:
    """Draw out/sheet_SPLIT.jpg for every labelled split, yielding each file.

    Raises DataError for a picture or a label that can't be read.
    """
    for split in data.splits:
        if split != UNLABELLED:
            file = out / f"sheet_{split}.jpg"
            _draw_sheet(data, split, seed, file)
            yield file


def choose(contents: list[list[str]], count: int, rng: np.random.Generator) -> list[int]:
    """Places of at most `count` pictures, given the class names in each, that show every class about equally often.

    The next picture is always one with the class that has been shown least; empty pictures come last.
    """
    left = [int(place) for place in rng.permutation(len(contents))]
    shown: Counter[str] = Counter()
    chosen: list[int] = []
    while left and len(chosen) < count:
        wanted = min({name for place in left for name in contents[place]}, key=lambda n: (shown[n], n), default=None)
        place = next(place for place in left if wanted is None or wanted in contents[place])
        left.remove(place)
        chosen.append(place)
        shown.update(contents[place])
    return chosen


def _draw_sheet(data: DataSet, split: str, seed: int, file: Path) -> None:
    pictures = data.pictures(split)
    places = choose([class_names(data, picture) for picture in pictures], PICTURES, np.random.default_rng(seed))
    shown = {pictures[place]: read_picture(pictures[place]) for place in places}
    height, width = np.median([pixels.shape[:2] for pixels in shown.values()], axis=0)
    columns = min(5 if max(height, width) <= _LARGE_PX else 3, len(shown))
    rows, cell = -(-len(shown) // columns), _WIDTH_INCHES / columns
    size = (_WIDTH_INCHES, rows * (cell * height / width + 0.25) + 0.8)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, (picture, pixels) in zip(grid, shown.items(), strict=False):
        _draw_picture(axes, picture, pixels, data.names, cell)
    colours = [Patch(color=_colour(number), label=name) for number, name in enumerate(data.names)]
    title = f"{split}: {len(places)} of {len(pictures):,} pictures, seed {seed}"
    figure.legend(handles=colours, title=title, loc="outside upper center", ncols=8, frameon=False, title_fontsize=13)
    figure.savefig(file)


def _draw_picture(axes: Any, picture: Path, pixels: NDArray[np.uint8], names: tuple[str, ...], cell: float) -> None:
    labels, shrink = read_labels(picture), min(1.0, 2 * cell * _DPI / max(pixels.shape[:2]))
    small = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    axes.imshow(small[..., ::-1])
    axes.set_title(_short(picture.name), fontsize=7, color="#666666", pad=3)
    for number, corners in zip(labels.classes, labels.corners(small.shape[1], small.shape[0]), strict=True):
        _draw_box(axes, corners, _colour(int(number)), names[number] if len(labels) <= _MOST_NAMED else "")


def _draw_box(axes: Any, corners: NDArray[np.float64], colour: Any, name: str) -> None:
    left, top, right, bottom = corners
    box = Rectangle((left, top), right - left, bottom - top, fill=False, color=colour, linewidth=1.3)
    box.set_path_effects(_CASING)
    axes.add_patch(box)
    is_high = top < axes.get_ylim()[0] / 15  # no room above it
    ground = {"facecolor": colour, "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
    if name:
        align = "top" if is_high else "bottom"
        axes.text(max(left, 0), max(top, 0), name, fontsize=6, color="white", va=align, bbox=ground, clip_on=True)


def _colour(number: int) -> Any:
    return colormaps["tab10"](number % 10)


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:18]}...{name[-19:]}"
