"""Tiles cover the board, and an insect that several of them saw is counted once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.detections import Detections
from trap_contract.errors import ConfigError
from trap_contract.tiling import Tile, cut_tile, merge_seams, tile_grid

Box = tuple[float, float, float, float]
WIDTH, HEIGHT, SIZE, OVERLAP = 620, 360, 360, 100
"""Two tiles side by side: 0..360 and 260..620."""


def seen_by(tile: Tile, insects: list[Box], score: float = 0.9) -> Detections:
    """What a perfect detector sees in a tile: each insect's part inside it, unless under 10 px are left."""
    boxes = []
    for x0, y0, x1, y1 in insects:
        inside = np.clip([x0 - tile.left, y0 - tile.top, x1 - tile.left, y1 - tile.top], 0, tile.size)
        if min(inside[2] - inside[0], inside[3] - inside[1]) >= 10:
            boxes.append(inside)
    count = len(boxes)
    table = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(table, np.full(count, score, np.float32), np.zeros(count, np.int64))


def merged(insects: list[Box], width: int = WIDTH, height: int = HEIGHT) -> list[list[float]]:
    grid = tile_grid(width, height, SIZE, OVERLAP)
    found = merge_seams([(tile, seen_by(tile, insects)) for tile in grid], width, height)
    return sorted(found.boxes.tolist())


@given(st.integers(1, 700), st.integers(1, 700), st.integers(8, 400), st.data())
def test_tiles_cover_every_pixel_and_share_what_was_asked(
    width: int, height: int, size: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, size - 1).filter(lambda px: (700 // (size - px)) < 40))
    grid = tile_grid(width, height, size, overlap)
    for length, starts in ((width, {tile.left for tile in grid}), (height, {tile.top for tile in grid})):
        ordered = sorted(starts)
        assert ordered[0] == 0
        assert ordered[-1] + size >= length
        assert all(later - earlier <= size - overlap for earlier, later in pairwise(ordered))
        assert all(start + size <= max(length, size) for start in ordered)
    assert len(grid) == len({tile.left for tile in grid}) * len({tile.top for tile in grid})


def test_a_full_hd_board_takes_28_tiles_of_360() -> None:
    assert len(tile_grid(1920, 1080, 360)) == 28


def test_no_smaller_grid_would_do() -> None:
    assert [tile.left for tile in tile_grid(620, 360, 360, 100)] == [0, 260]
    assert [tile.left for tile in tile_grid(621, 360, 360, 100)] == [0, 130, 261]


@pytest.mark.parametrize(("size", "overlap"), [(100, 100), (50, 100), (64, -1), (0, 0)])
def test_an_overlap_that_does_not_fit_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(ConfigError, match=f"tile size {size} px must be above the overlap of {overlap} px"):
        tile_grid(640, 480, size, overlap)


def test_a_board_smaller_than_a_tile_is_cut_at_its_end() -> None:
    (tile,) = tile_grid(100, 60, 360)
    picture = np.arange(100 * 60 * 3, dtype=np.uint8).reshape(60, 100, 3)
    assert np.array_equal(cut_tile(picture, tile), picture)


def test_nothing_seen_is_nothing() -> None:
    assert merged([]) == []
    assert len(merge_seams([], WIDTH, HEIGHT)) == 0


def test_an_insect_whole_in_both_tiles_is_one_box() -> None:
    assert merged([(280, 50, 340, 90)]) == [[280, 50, 340, 90]]


@pytest.mark.parametrize("x", [200, 230, 250, 262, 300, 330, 345])
def test_an_insect_cut_by_one_tile_is_the_box_of_the_other(x: int) -> None:
    assert merged([(x, 50, x + 60, 90)]) == [[x, 50, x + 60, 90]]


@pytest.mark.parametrize("reach", [15, 50])
def test_an_insect_too_long_for_either_tile_is_joined(reach: int) -> None:
    insect = (260 - reach, 50, 360 + reach, 90)
    assert merged([insect]) == [list(insect)]


def test_an_insect_on_the_corner_of_four_tiles_is_one_box() -> None:
    assert merged([(280, 280, 345, 340)], 620, 620) == [[280, 280, 345, 340]]
    assert merged([(240, 250, 380, 370)], 620, 620) == [[240, 250, 380, 370]]


def test_two_touching_insects_on_the_seam_stay_two() -> None:
    insects: list[Box] = [(270, 50, 310, 90), (310, 50, 350, 90)]
    assert merged(insects) == [list(box) for box in insects]


def test_two_touching_insects_cut_by_different_tiles_stay_two() -> None:
    insects: list[Box] = [(230, 50, 310, 90), (310, 50, 390, 90)]
    assert merged(insects) == [list(box) for box in insects]


def test_two_overlapping_insects_in_one_tile_are_left_to_its_own_suppression() -> None:
    insects: list[Box] = [(20, 50, 80, 90), (25, 52, 85, 92)]
    assert merged(insects) == [list(box) for box in insects]


def test_a_box_at_the_edge_of_the_board_is_not_taken_for_a_piece() -> None:
    insects: list[Box] = [(0, 50, 60, 90), (560, 0, 620, 40)]
    assert merged(insects) == [list(box) for box in insects]


def test_of_two_views_the_better_scored_whole_one_is_kept() -> None:
    insect: list[Box] = [(280, 50, 340, 90)]
    left, right = tile_grid(WIDTH, HEIGHT, SIZE, OVERLAP)
    found = merge_seams([(left, seen_by(left, insect, 0.6)), (right, seen_by(right, insect, 0.8))], WIDTH, HEIGHT)
    assert found.scores.tolist() == pytest.approx([0.8])


def test_a_whole_view_is_kept_over_a_piece_with_a_better_score() -> None:
    insect: list[Box] = [(310, 50, 370, 90)]
    left, right = tile_grid(WIDTH, HEIGHT, SIZE, OVERLAP)
    found = merge_seams([(left, seen_by(left, insect, 0.9)), (right, seen_by(right, insect, 0.5))], WIDTH, HEIGHT)
    assert found.boxes.tolist() == [[310, 50, 370, 90]]
    assert found.scores.tolist() == [0.5]


def test_a_piece_beside_another_insect_is_not_taken_for_part_of_it() -> None:
    left, right = tile_grid(WIDTH, HEIGHT, SIZE, OVERLAP)
    piece, neighbour = (320, 50, 400, 90), (290, 50, 330, 90)  # a quarter of the piece seen on the left is shared
    found = merge_seams([(left, seen_by(left, [piece])), (right, seen_by(right, [neighbour]))], WIDTH, HEIGHT)
    assert sorted(found.boxes.tolist()) == [list(neighbour), [320, 50, 360, 90]]


def test_a_small_insect_on_a_large_one_at_the_edge_of_the_board_stays() -> None:
    left, right = tile_grid(WIDTH, HEIGHT, SIZE, OVERLAP)
    large, small = (270, 0, 350, 80), (300, 20, 320, 40)
    found = merge_seams([(left, seen_by(left, [large])), (right, seen_by(right, [small]))], WIDTH, HEIGHT)
    assert sorted(found.boxes.tolist()) == [list(large), list(small)]


@given(st.integers(0, 1920 - 60), st.integers(0, 1080 - 60), st.integers(15, 60), st.integers(15, 60))
def test_wherever_an_insect_sits_on_the_board_it_is_counted_once(x: int, y: int, wide: int, high: int) -> None:
    (box,) = merged([(x, y, x + wide, y + high)], 1920, 1080)
    assert box == [x, y, x + wide, y + high]


def test_the_limit_keeps_the_whole_boxes_with_the_best_scores() -> None:
    tile = Tile(0, 0, SIZE)
    boxes = np.array([[10 * n, 0, 10 * n + 8, 8] for n in range(5)], np.float32)
    part = Detections(boxes, np.linspace(0.1, 0.9, 5).astype(np.float32), np.zeros(5, np.int64))
    found = merge_seams([(tile, part)], SIZE, SIZE, limit=2)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
