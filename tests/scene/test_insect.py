"""Mosquitoes: what tells the sexes apart is drawn, and what blurs or tears it away takes it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from trap_scene import anatomy, insect
from trap_scene.brush import Hairs
from trap_scene.sprite import Sprite


def _look(*, male: bool) -> anatomy.Look:
    return insect.draw_look(np.random.default_rng(1), male)


def _fine_detail(sprite: Sprite) -> float:
    alpha = sprite.pixels[..., 3].astype(np.float32)
    return float(np.abs(cv2.Laplacian(alpha, cv2.CV_32F)).sum() / alpha.sum())


def test_male_antennae_are_plumes_and_female_ones_are_not() -> None:
    def spread(male: bool) -> float:
        stem, hairs = anatomy.antenna(np.random.default_rng(2), _look(male=male), np.zeros(2), 0.0, 0.0)
        assert np.abs(stem.path[:, 1]).max() < 1e-9
        return float(len(hairs.tips) * np.abs(hairs.tips[:, 1]).mean())

    assert spread(True) > 8 * spread(False)


def test_male_palps_are_as_long_as_the_proboscis_and_female_palps_are_stubs() -> None:
    def length(male: bool) -> float:
        stem, _ = anatomy.palp(np.random.default_rng(3), _look(male=male), np.zeros(2), 0.3)
        return float(np.hypot(*(stem.path[-1] - stem.path[0])))

    mouth = anatomy.proboscis(np.random.default_rng(3), _look(male=False), np.zeros(2), 0.3)
    proboscis = float(np.hypot(*(mouth.path[-1] - mouth.path[0])))
    assert length(True) == pytest.approx(proboscis, rel=0.25)
    assert length(False) < 0.3 * proboscis


def test_a_fed_female_is_stouter_than_a_male() -> None:
    fed = replace(_look(male=False), meal="blood")
    start, end = np.array([0.15, 0.0]), np.array([-0.5, 0.0])
    rng = np.random.default_rng(4)
    female = anatomy.abdomen(rng, fed, start, end, 0.0)
    male = anatomy.abdomen(rng, _look(male=True), start, end, 0.0)
    assert female.radii.max() > 1.5 * male.radii.max()


def test_males_take_no_blood() -> None:
    rng = np.random.default_rng(5)
    assert {insect.draw_look(rng, True).meal for _ in range(50)} == {"none"}
    assert {insect.draw_look(rng, False).meal for _ in range(50)} == {"none", "blood", "eggs"}


@pytest.mark.parametrize("lost", insect.LOSSES)
def test_an_incomplete_mosquito_shows_no_plume(lost: str) -> None:
    look = _look(male=True)
    stance = insect.draw_stance(np.random.default_rng(6))
    parts = insect.mosquito(np.random.default_rng(7), look, stance, lost)
    assert max(len(part.roots) for part in parts if isinstance(part, Hairs)) < 50
    whole = insect.mosquito(np.random.default_rng(7), look, stance)
    assert max(len(part.roots) for part in whole if isinstance(part, Hairs)) > 100


def test_out_of_focus_has_less_fine_detail_than_sharp() -> None:
    sharp = [_fine_detail(insect.draw_whole(np.random.default_rng(i), i % 2 == 0)) for i in range(12)]
    soft = [_fine_detail(insect.draw_out_of_focus(np.random.default_rng(i))) for i in range(12)]
    assert max(soft) < 0.5 * min(sharp)


def test_poses_of_one_mosquito_differ_only_a_little() -> None:
    first, second = insect.draw_poses(np.random.default_rng(8), True, 2)
    high = min(first.pixels.shape[0], second.pixels.shape[0])
    assert first.unit_px == second.unit_px
    assert not np.array_equal(first.pixels[:high], second.pixels[:high])
    assert float(first.pixels.sum()) == pytest.approx(float(second.pixels.sum()), rel=0.2)


def test_no_mosquito_is_longer_than_asked() -> None:
    for seed in range(10):
        pixels = insect.draw_whole(np.random.default_rng(seed), True, longest_px=60.0).pixels
        rows, cols = np.nonzero(pixels[..., 3] > 0)
        assert 40 < max(np.ptp(rows), np.ptp(cols)) <= 62
