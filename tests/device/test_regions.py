"""Tiles that did not change are not looked at, and what is reported is as if they were."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from trap_agent.regions import REFRESH, Regions
from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.tiling import tile_grid

from device.bundles import paint

SIZE, WIDTH, HEIGHT = 160, 460, 280
TILES = len(tile_grid(WIDTH, HEIGHT, SIZE))
Pixels = NDArray[np.uint8]


class Blobs:
    """Finds squares that are brighter than the board, and counts its looks."""

    def __init__(self) -> None:
        self.looks = 0

    def detect(self, picture: Pixels) -> Detections:
        self.looks += 1
        bright = picture[..., 0] > 128
        rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
        if not len(rows):
            return Detections.empty()
        box = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.array([0]))

    def detect_many(self, pictures: Sequence[Pixels]) -> list[Detections]:
        return [self.detect(picture) for picture in pictures]


def board(*corners: tuple[int, int], noise: int = 0) -> Pixels:
    """A noisy grey board with squares of 24 px."""
    pixels = np.full((HEIGHT, WIDTH, 3), 60, np.int16)
    pixels += np.random.default_rng(noise).normal(0, 4, pixels.shape).astype(np.int16)
    for x, y in corners:
        pixels[y : y + 24, x : x + 24] = 200
    return pixels.clip(0, 255).astype(np.uint8)


def test_the_first_picture_is_looked_at_everywhere() -> None:
    blobs = Blobs()
    assert Regions(blobs).detect_tiled(board((10, 10)), SIZE).boxes.tolist() == [[10, 10, 34, 34]]
    assert blobs.looks == TILES


def test_noise_is_no_change_and_the_boxes_stay() -> None:
    blobs = Blobs()
    regions = Regions(blobs)
    for frame in range(20):
        found = regions.detect_tiled(board((10, 10), noise=frame), SIZE)
        assert found.boxes.tolist() == [[10, 10, 34, 34]]
    assert blobs.looks <= TILES + TILES  # the first look, and each tile's turn at most once
    assert regions.looked == blobs.looks


@pytest.mark.parametrize("corner", [(200, 130), (430, 250), (100, 20), (140, 60)])
def test_an_insect_that_comes_or_goes_is_seen_in_the_next_frame(corner: tuple[int, int]) -> None:
    blobs = Blobs()
    regions = Regions(blobs)
    regions.detect_tiled(board(), SIZE)
    x, y = corner
    assert regions.detect_tiled(board(corner, noise=1), SIZE).boxes.tolist() == [[x, y, x + 24, y + 24]]
    assert len(regions.detect_tiled(board(noise=2), SIZE)) == 0
    assert blobs.looks < 3 * TILES


def test_every_tile_is_looked_at_again_within_the_refresh() -> None:
    blobs = Blobs()
    regions = Regions(blobs)
    still = board()
    for _ in range(REFRESH + 1):
        regions.detect_tiled(still, SIZE)
    assert blobs.looks == 2 * TILES


def test_a_light_that_fades_slowly_is_seen_when_it_has_faded() -> None:
    blobs = Blobs()
    regions = Regions(blobs)
    regions.detect_tiled(board(), SIZE)
    before = blobs.looks
    for level in range(1, 16):
        regions.detect_tiled(board() + np.uint8(level), SIZE)
    assert blobs.looks >= before + TILES


def test_a_picture_of_another_size_is_looked_at_everywhere() -> None:
    blobs = Blobs()
    regions = Regions(blobs)
    regions.detect_tiled(board(), SIZE)
    regions.detect_tiled(board()[:SIZE, :SIZE], SIZE)
    assert blobs.looks == TILES + 1


def test_a_real_model_reports_the_same_with_and_without_skipping(bundle: Path) -> None:
    detector = Detector.load(bundle)
    regions = Regions(detector)
    tile = np.kron(paint("Female", None, "Male", None), np.ones((3, 3, 1), np.uint8))
    first = np.concatenate([tile, np.zeros_like(tile), tile], axis=1)
    second = np.concatenate([tile, tile, np.zeros_like(tile)], axis=1)
    for picture in (first, first, second, second, first):
        with_skipping, without = regions.detect_tiled(picture, 192), detector.detect_tiled(picture, 192)
        assert np.array_equal(with_skipping.boxes, without.boxes)
        assert np.array_equal(with_skipping.classes, without.classes)
    assert regions.looked < 5 * 5
