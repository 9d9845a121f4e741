"""Pictures and their truth: same seed same picture, boxes tight, classes as promised, insects apart."""

from itertools import combinations

import numpy as np
import pytest
from trap_scene import CLASSES, Picture, render_board, render_picture
from trap_scene.picture import FREQUENCIES, MAX_IOU, draw_sprite, iou, visible_box
from trap_scene.sprite import VISIBLE_ALPHA


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    rng = np.random.default_rng(20)
    return [render_picture(rng) for _ in range(200)]


def test_a_seed_names_one_picture() -> None:
    first, again = (render_picture(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.truth == again.truth


def test_another_seed_names_another_picture() -> None:
    first, other = (render_picture(np.random.default_rng(seed)) for seed in (5, 6))
    assert not np.array_equal(first.pixels, other.pixels)


def test_a_picture_has_the_size_asked_for() -> None:
    pixels = render_picture(np.random.default_rng(1), width=320, height=160).pixels
    assert pixels.shape == (160, 320, 3)
    assert pixels.dtype == np.uint8


def test_boxes_lie_inside_the_picture_and_enclose_something(pictures: list[Picture]) -> None:
    for picture in pictures:
        for insect in picture.truth:
            x0, y0, x1, y1 = insect.box
            assert 0 <= x0 < x1 <= 224
            assert 0 <= y0 < y1 <= 224
            assert min(x1 - x0, y1 - y0) >= 5


def test_classes_come_as_often_as_promised(pictures: list[Picture]) -> None:
    labels = [insect.label for picture in pictures for insect in picture.truth]
    seen = np.bincount(labels, minlength=len(CLASSES)) / len(labels)
    assert np.abs(seen - FREQUENCIES).max() < 0.06


def test_pictures_hold_none_to_six_insects(pictures: list[Picture]) -> None:
    counts = {len(picture.truth) for picture in pictures}
    assert counts == {0, 1, 2, 3, 4, 5, 6}


def test_insects_overlap_no_more_than_the_limit(pictures: list[Picture]) -> None:
    pairs = [pair for picture in pictures for pair in combinations(picture.truth, 2)]
    assert max(iou(a.box, b.box) for a, b in pairs) <= MAX_IOU


def test_whole_insects_span_40_to_110_px(pictures: list[Picture]) -> None:
    boxes = np.array([insect.box for picture in pictures for insect in picture.truth if insect.label < 2])
    spans = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    assert spans.min() >= 40
    assert spans.max() <= 112


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_a_box_touches_the_insect_on_all_four_sides(label: int) -> None:
    sprite = draw_sprite(np.random.default_rng([7, label]), label)
    seen = np.pad(sprite.pixels[..., 3] >= VISIBLE_ALPHA, 50)
    rows, cols = np.nonzero(seen)
    box = visible_box(sprite, 50, 50, seen.shape[1], seen.shape[0])
    assert box == (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)


def test_a_box_is_cut_where_the_picture_ends() -> None:
    sprite = draw_sprite(np.random.default_rng(3), 0)
    high, wide = sprite.pixels.shape[:2]
    box = visible_box(sprite, -wide // 2, -high // 2, 224, 224)
    assert box is not None
    assert min(box[:2]) == 0
    assert visible_box(sprite, 300, 300, 224, 224) is None


def test_iou_of_half_shifted_squares_is_a_third() -> None:
    assert iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert iou((0, 0, 1, 1), (2, 2, 3, 3)) == 0


def test_the_insect_is_where_its_box_says() -> None:
    rng = np.random.default_rng(11)
    darker = []
    for picture in (render_picture(rng) for _ in range(20)):
        level = np.median(picture.pixels.mean(axis=2))
        for insect in (i for i in picture.truth if i.label in {0, 1}):
            x0, y0, x1, y1 = (int(v) for v in insect.box)
            darker.append(level - picture.pixels[y0:y1, x0:x1].mean(axis=2).min())
    assert min(darker) > 25


def test_a_board_holds_nearly_all_insects_asked_for() -> None:
    board = render_board(np.random.default_rng(2), 640, 480, insects=12)
    assert board.pixels.shape == (480, 640, 3)
    assert 9 <= len(board.truth) <= 12


def test_a_small_picture_holds_small_insects_whole() -> None:
    rng = np.random.default_rng(4)
    whole = [i.box for _ in range(20) for i in render_picture(rng, 96, 96).truth if i.label < 2]
    assert whole
    assert all(max(x1 - x0, y1 - y0) <= 0.9 * 96 + 2 for x0, y0, x1, y1 in whole)
