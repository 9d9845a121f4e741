"""Boards, litter and the camera: light within range, litter kept off the truth, noise as asked for."""

from dataclasses import replace

import numpy as np
import pytest
from trap_scene import insect, litter
from trap_scene.board import Camera, cloud, draw_board


@pytest.mark.parametrize("seed", range(12))
def test_a_board_is_neither_black_nor_burnt_out(seed: int) -> None:
    board = draw_board(np.random.default_rng(seed), 224, 160)
    assert board.pixels.shape == (160, 224, 3)
    assert board.pixels.dtype == np.float32
    assert 70 < board.pixels.max(axis=2).mean() < 252
    assert (board.pixels.max(axis=2) > 255).mean() < 0.2


def test_litter_changes_only_part_of_a_board() -> None:
    rng = np.random.default_rng(3)
    board = draw_board(rng, 448, 448)
    clean = board.pixels.copy()
    litter.scatter(rng, board)
    changed = (board.pixels != clean).any(axis=2).mean()
    assert 0 < changed < 0.3


def test_a_shadow_only_darkens_and_a_sprite_off_the_board_changes_nothing() -> None:
    board = draw_board(np.random.default_rng(1), 224, 224)
    clean = board.pixels.copy()
    sprite = insect.draw_whole(np.random.default_rng(2), False)
    for x, y in ((-500, 0), (0, -500), (500, 10), (10, 500)):
        litter.lay(board, sprite, x, y)
    assert np.array_equal(board.pixels, clean)
    litter.cast_shadow(replace(board, shadow=0.4), sprite, 40, 40, 2.0)
    assert (board.pixels <= clean).all()
    assert (board.pixels < clean).any()


def test_a_noisier_camera_takes_noisier_pictures() -> None:
    flat = np.full((128, 128, 3), 128, np.float32)
    quiet = Camera(0.5, 0.0, 0.5, 0.2, 95).shoot(np.random.default_rng(1), flat)
    noisy = Camera(0.5, 0.0, 3.0, 2.0, 95).shoot(np.random.default_rng(1), flat)
    assert noisy.std() > 2 * quiet.std()
    assert quiet.mean() == pytest.approx(128, abs=1)


def test_a_cloud_is_smooth() -> None:
    field = cloud(np.random.default_rng(1), 120, 80, 20.0)
    assert field.shape == (80, 120)
    assert np.abs(np.diff(field, axis=1)).max() < 0.35
