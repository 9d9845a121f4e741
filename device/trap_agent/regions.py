"""Tiles of a large board that are looked at only where something changed.

A tile is compared, in grey cells of 8 x 8 px, with how it was when the model last saw it: it changed when 3 cells or
more are 12 grey levels off, a fraction of a mosquito of 40 px. Otherwise its boxes are those of then. Every tile is
looked at again at least every REFRESH frames, whatever it shows, the tiles taking turns. A slow change adds up until it
is seen, because the comparison is with the last look and not with the last frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from trap_contract.detections import Detections
from trap_contract.tiling import Tile, cut_tile, merge_seams, tile_grid
from trap_contract.vision import cv2

from trap_agent.counting import PictureDetector, Pixels

REFRESH = 50
"""Frames after which a tile is looked at again though nothing changed."""

_CELL_PX = 8
_LEVELS = 12
_CELLS = 3


@dataclass(frozen=True, slots=True)
class _Look:
    """How a tile was, in grey cells, and what the model found in it, in its px."""

    cells: NDArray[np.int16]
    found: Detections


class Regions:
    """A detector that remembers: of one camera's tiled pictures it looks at the tiles that changed."""

    def __init__(self, detector: PictureDetector) -> None:
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
        grid = tile_grid(width, height, size)
        self._looks = {tile: self._look(cut_tile(picture, tile), tile, turn) for turn, tile in enumerate(grid)}
        self._frame += 1
        return merge_seams([(tile, look.found) for tile, look in self._looks.items()], width, height)

    def _look(self, part: Pixels, tile: Tile, turn: int) -> _Look:
        cells, before = _cells(part), self._looks.get(tile)
        is_due = (self._frame + turn) % REFRESH == 0
        if before is not None and not is_due and not _is_changed(before.cells, cells):
            return before
        self.looked += 1
        return _Look(cells, self._detector.detect(part))


def _cells(part: Pixels) -> NDArray[np.int16]:
    high, wide = (max(1, side // _CELL_PX) for side in part.shape[:2])
    small = cv2.resize(part, (wide, high), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.int16)


def _is_changed(before: NDArray[np.int16], now: NDArray[np.int16]) -> bool:
    return int((np.abs(now - before) >= _LEVELS).sum()) >= _CELLS
