"""Counting what is in a picture."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from trap_contract.detections import Detections
from trap_contract.errors import DataError
from trap_contract.pictures import list_pictures, read_picture
from trap_contract.tiling import tile_grid

Pixels = NDArray[np.uint8]


class PictureDetector(Protocol):
    """The part of trap_contract.detector.Detector that counting needs."""

    def detect(self, picture: Pixels) -> Detections: ...

    def detect_tiled(self, picture: Pixels, size: int) -> Detections: ...


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a picture holds, the milliseconds from pixels in memory to boxes, and how many tiles made it up."""

    found: Detections
    latency_ms: float
    looks: int = 1


@dataclass(frozen=True, slots=True)
class PictureCount:
    """One picture file's analysis, or the reason why there is none."""

    path: Path
    analysis: Analysis | None
    error: str = ""


def analyse(detector: PictureDetector, pixels: Pixels, tile: int | None) -> Analysis:
    """Detect in one picture (H, W, 3) BGR, in tiles of `tile` px if given."""
    begun = time.perf_counter()
    found = detector.detect(pixels) if tile is None else detector.detect_tiled(pixels, tile)
    latency_ms = (time.perf_counter() - begun) * 1000
    return Analysis(found, latency_ms, 1 if tile is None else len(tile_grid(pixels.shape[1], pixels.shape[0], tile)))


def count_pictures(detector: PictureDetector, paths: Sequence[Path], tile: int | None) -> Iterator[PictureCount]:
    """Analyse each file in turn; one that can't be read yields its error."""
    for path in paths:
        try:
            yield PictureCount(path, analyse(detector, read_picture(path), tile))
        except DataError as error:
            yield PictureCount(path, None, str(error))


def find_pictures(arguments: Sequence[Path]) -> list[Path]:
    """The picture files that paths name, folders giving theirs.

    Raises DataError for a path that does not exist and for a folder without pictures.
    """
    found: list[Path] = []
    for path in arguments:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
        inside = list_pictures(path) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{path}: no pictures in this folder (jpg, jpeg, png, bmp, webp, tif)")
        found += inside
    return found


def named_counts(found: Detections, classes: tuple[str, ...]) -> dict[str, int]:
    """How many of each class, zeros included."""
    return {name: int(number) for name, number in zip(classes, found.counts(len(classes)), strict=True)}
