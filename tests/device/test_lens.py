"""Whether the camera can still see."""

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs
from trap_agent.lens import BLURRED, FILE_NAME, Lens, Reading, judge, median_of, read_picture_quality

SOURCE = "camera:0"


def board(seed: int = 0) -> np.ndarray:
    """A lit board with insects on it."""
    rng = np.random.default_rng(seed)
    pixels = np.full((480, 640, 3), 150, np.uint8)
    for x, y in rng.integers(20, 460, (40, 2)):
        cv2.ellipse(pixels, (int(x), int(y)), (9, 4), float(rng.uniform(0, 180)), 0, 360, (40, 40, 40), -1)
    return np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)


def look_often(lens: Lens, pixels: np.ndarray, begun_s: float = 0, times: int = 12) -> float:
    for step in range(times):
        lens.look(pixels, begun_s + 5.0 * step)
    return begun_s + 5.0 * times


def test_at_install_the_first_good_pictures_become_the_reference(tmp_path):
    lens = Lens(tmp_path, SOURCE)
    lens.look(board(), 0)
    assert lens.state(0)[1] is None
    assert not (tmp_path / FILE_NAME).exists()
    now_s = look_often(lens, board(), 5)
    assert lens.state(now_s)[1] == "clear"
    assert (tmp_path / FILE_NAME).exists()


def test_a_blurred_lens_is_told_after_a_restart_too(tmp_path):
    look_often(Lens(tmp_path, SOURCE), board())
    lens = Lens(tmp_path, SOURCE)
    now_s = look_often(lens, cv2.GaussianBlur(board(1), (0, 0), 4))
    assert lens.state(now_s)[1] == "blurred"


@pytest.mark.parametrize(("value", "verdict"), [(0, "dark"), (255, "overexposed")])
def test_a_dead_lamp_and_a_washed_out_picture_are_told_without_a_reference(tmp_path, value, verdict):
    lens = Lens(tmp_path, SOURCE)
    now_s = look_often(lens, np.full((48, 64, 3), value, np.uint8), times=30)
    assert lens.state(now_s)[1] == verdict
    assert not (tmp_path / FILE_NAME).exists()


def test_another_source_has_another_reference(tmp_path):
    look_often(Lens(tmp_path, SOURCE), board())
    lens = Lens(tmp_path, "camera:1")
    lens.look(cv2.GaussianBlur(board(), (0, 0), 4), 0)
    assert lens.state(0)[1] is None


def test_one_odd_picture_changes_no_verdict(tmp_path):
    lens = Lens(tmp_path, SOURCE)
    now_s = look_often(lens, board())
    lens.look(np.zeros((48, 64, 3), np.uint8), now_s)
    assert lens.state(now_s)[1] == "clear"


def test_what_was_seen_long_ago_is_not_reported(tmp_path):
    lens = Lens(tmp_path, SOURCE)
    now_s = look_often(lens, board())
    assert lens.state(now_s + 120) == (None, None)


def test_a_larger_picture_of_the_same_board_is_about_as_sharp():
    small = read_picture_quality(board())
    large = read_picture_quality(cv2.resize(board(), (1920, 1440), interpolation=cv2.INTER_CUBIC))
    assert large.sharpness > BLURRED * small.sharpness
    assert large.brightness == pytest.approx(small.brightness, abs=1)


def test_a_damaged_reference_is_said_and_taken_anew(tmp_path):
    (tmp_path / FILE_NAME).write_text('{"sharpness": ')
    with capture_logs() as logs:
        lens = Lens(tmp_path, SOURCE)
    assert [line["event"] for line in logs] == ["state file can't be read, going on without it"]
    assert lens.state(look_often(lens, board()))[1] == "clear"


def test_the_threshold_is_a_share_of_the_reference():
    reference = Reading(sharpness=100, brightness=100)
    assert judge(Reading(sharpness=100 * BLURRED, brightness=100), reference) == "clear"
    assert judge(Reading(sharpness=100 * BLURRED - 1, brightness=100), reference) == "blurred"


def test_the_middle_reading_counts():
    readings = [Reading(sharpness=value, brightness=value) for value in (1, 2, 100)]
    assert median_of(readings) == Reading(sharpness=2, brightness=2)
