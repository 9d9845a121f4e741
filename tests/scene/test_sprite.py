"""Sprites: colours premultiplied, defocus that keeps the light, turns about the centre."""

import cv2
import numpy as np
import pytest
from trap_scene import insect, others
from trap_scene.brush import Stroke, over
from trap_scene.sprite import Sprite, defocus, extent, raster, turned


@pytest.fixture(scope="module")
def sprite() -> Sprite:
    return insect.draw_whole(np.random.default_rng(1), True)


def test_no_colour_is_brighter_than_its_alpha(sprite: Sprite) -> None:
    pixels = sprite.pixels.astype(int)
    assert (pixels[..., :3] <= pixels[..., 3:] + 2).all()


def test_nothing_is_painted_on_the_sprite_border(sprite: Sprite) -> None:
    alpha = sprite.pixels[..., 3]
    assert not np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]]).any()


def test_over_keeps_what_shows_through() -> None:
    under = np.full((1, 1, 4), (100, 0, 0, 255), np.uint8)
    over(under, np.full((1, 1, 4), (0, 0, 51, 51), np.uint8))
    assert under.tolist() == [[[80, 0, 51, 255]]]


def test_defocus_spreads_the_insect_and_keeps_its_mass(sprite: Sprite) -> None:
    soft = defocus(sprite, 4.0)
    assert soft.pixels[..., 3].sum() == pytest.approx(sprite.pixels[..., 3].sum(), rel=0.03)
    assert (soft.pixels[..., 3] > 0).sum() > 1.3 * (sprite.pixels[..., 3] > 0).sum()
    assert soft.pixels[..., 3].max() <= sprite.pixels[..., 3].max()


def test_a_turn_of_a_quarter_is_the_picture_turned(sprite: Sprite) -> None:
    round_centre = Sprite(sprite.pixels, sprite.head, (40.0, 30.0), sprite.unit_px)
    quarter = turned(round_centre, np.pi / 2, (0.0, 0.0))
    expected = cv2.rotate(sprite.pixels, cv2.ROTATE_90_CLOCKWISE)
    rows, cols = np.nonzero(quarter.pixels[..., 3])
    wanted_rows, wanted_cols = np.nonzero(expected[..., 3])
    found = quarter.pixels[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1].astype(int)
    wanted = expected[wanted_rows.min() : wanted_rows.max() + 1, wanted_cols.min() : wanted_cols.max() + 1].astype(int)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1


def test_a_turn_moves_the_head_around_the_centre(sprite: Sprite) -> None:
    half = turned(sprite, np.pi, (0.0, 0.0))
    before = np.subtract(sprite.head, sprite.centre)
    after = np.subtract(half.head, half.centre)
    assert after == pytest.approx(-before, abs=1e-6)


def test_raster_puts_the_head_where_it_was_said() -> None:
    line = Stroke(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([0.1, 0.1]), np.zeros((2, 3)))
    sprite = raster([line], np.array([1.0, 0.0]), 30.0, 0.0)
    rows, cols = np.nonzero(sprite.pixels[..., 3])
    assert extent([line]) == 1.0
    assert sprite.head[0] == pytest.approx(cols.max(), abs=3)
    assert sprite.head[1] == pytest.approx(rows.mean(), abs=1.5)


@pytest.mark.parametrize("kind", others.KINDS, ids=lambda kind: kind.__name__.strip("_"))
def test_each_other_kind_paints_something(kind: object) -> None:
    assert callable(kind)
    pixels = raster(kind(np.random.default_rng(2)), np.zeros(2), 40.0, 0.4).pixels
    assert (pixels[..., 3] > 128).sum() > 60
