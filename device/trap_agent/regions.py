"""Tiles of a large board that are looked at only where something changed.

A tile is compared, in grey cells of 8 x 8 px, with how it was when the model last saw it: it changed when 3 cells or
more are 12 grey levels off, a fraction of a mosquito of 40 px. Otherwise its boxes are those of then. Every tile is
looked at again at least every REFRESH frames, whatever it shows, the tiles taking turns. A slow change adds up until it
is seen, because the comparison is with the last look and not with the last frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from trap_contract.detections import Detections
from trap_contract.tiling import Tile, cut_tile, merge_seams, tile_grid
from trap_contract.vision import cv2

from trap_agent.counting import Pixels

Cells = NDArray[np.int16]

REFRESH = 50
"""Frames after which a tile is looked at again though nothing changed."""

_CELL_PX = 8
_LEVELS = 12
_CELLS = 3


class TileDetector(Protocol):
    """The part of trap_contract.detector.Detector that tiles need."""

    def detect(self, picture: Pixels) -> Detections: ...

    def detect_many(self, pictures: Sequence[Pixels]) -> list[Detections]: ...


@dataclass(frozen=True, slots=True)
class _Look:
    """How a tile was, in grey cells, and what the model found in it, in its px."""

    cells: Cells
    found: Detections


class Regions:
    """A detector that remembers: of one camera's tiled pictures it looks at the tiles that changed."""

    def __init__(self, detector: TileDetector) -> None:
        self._detector = detector
        self._shape: tuple[int, ...] = ()
        self._looks: dict[Tile, _Look] = {}
        self._frame = 0
        self.looked = 0
        """Tiles shown to the model so far."""

    def detect(self, picture: Pixels) -> Detections:
        """Boxes of one whole picture."""
        return self._detector.detect(picture)

    def detect_tiled(self, picture: Pixels, size: int) -> Detections:
        """Boxes of a board (H, W, 3) BGR in tiles of `size` px, each insect once; unchanged tiles are not looked at."""
        height, width = picture.shape[:2]
        if picture.shape != self._shape:
            self._shape, self._looks = picture.shape, {}
        grid, cells = tile_grid(width, height, size), _cells(picture)
        parts = {tile: _under(cells, tile, picture.shape) for tile in grid}
        due = [tile for turn, tile in enumerate(grid) if self._is_due(tile, turn, parts[tile])]
        found = self._detector.detect_many([cut_tile(picture, tile) for tile in due])
        self._looks |= {tile: _Look(parts[tile], seen) for tile, seen in zip(due, found, strict=True)}
        self._frame += 1
        self.looked += len(due)
        return merge_seams([(tile, self._looks[tile].found) for tile in grid], width, height)

    def _is_due(self, tile: Tile, turn: int, cells: Cells) -> bool:
        before = self._looks.get(tile)
        return before is None or (self._frame + turn) % REFRESH == 0 or _is_changed(before.cells, cells)


def _cells(picture: Pixels) -> Cells:
    high, wide = (max(1, side // _CELL_PX) for side in picture.shape[:2])
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, (wide, high), interpolation=cv2.INTER_AREA), np.int16)


def _under(cells: Cells, tile: Tile, shape: tuple[int, ...]) -> Cells:
    """The cells that a tile touches."""
    spans = []
    for start, count, length in zip((tile.top, tile.left), cells.shape, shape, strict=False):
        spans.append(slice(start * count // length, -(-(start + tile.size) * count // length)))
    return cells[tuple(spans)]


def _is_changed(before: Cells, now: Cells) -> bool:
    return int(np.count_nonzero(np.abs(now - before) >= _LEVELS)) >= _CELLS
