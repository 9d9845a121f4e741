"""The letterbox: the very pixels of Ultralytics', and boxes that find their way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.letterbox import Placement, letterbox

sides = st.integers(1, 300)


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("target", [(64, 64), (96, 64), (224, 224)], ids=str)
@pytest.mark.parametrize(
    "size", [(64, 64), (96, 72), (72, 96), (17, 200), (201, 33), (640, 480), (360, 360), (63, 65)], ids=str
)
def test_pixels_are_those_of_ultralytics(size: tuple[int, int], target: tuple[int, int]) -> None:
    from ultralytics.data.augment import LetterBox

    picture = noise(*size)
    expected = LetterBox((target[1], target[0]), auto=False)(image=picture)
    assert np.array_equal(letterbox(picture, *target)[0], expected)


@given(sides, sides, st.sampled_from([32, 64, 224]), st.sampled_from([32, 96]))
def test_any_picture_fits_any_input(width: int, height: int, target_width: int, target_height: int) -> None:
    canvas, _ = letterbox(noise(width, height), target_width, target_height)
    assert canvas.shape == (target_height, target_width, 3)
    assert canvas.dtype == np.uint8


@given(sides, sides, st.data())
def test_undo_inverts_the_placement(width: int, height: int, data: st.DataObject) -> None:
    _, placement = letterbox(noise(width, height), 64, 96)
    x = sorted(data.draw(st.lists(st.floats(0, width), min_size=2, max_size=2)))
    y = sorted(data.draw(st.lists(st.floats(0, height), min_size=2, max_size=2)))
    boxes = np.array([[x[0], y[0], x[1], y[1]]], np.float32)
    placed = boxes * placement.scale + np.array([placement.left, placement.top] * 2, np.float32)
    assert placement.undo(placed) == pytest.approx(boxes, abs=1e-2)


def test_a_box_that_reaches_into_the_padding_is_clipped_to_the_picture() -> None:
    placement = Placement(scale=0.5, left=0, top=8, width=64, height=32)
    assert placement.undo(np.array([[-4, 0, 40, 32]], np.float32)).tolist() == [[0, 0, 64, 32]]


def test_the_padding_has_the_fill_asked_for() -> None:
    canvas, placement = letterbox(np.full((16, 64, 3), 9, np.uint8), 64, 64, fill=200)
    assert (placement.left, placement.top) == (0, 24)
    assert (canvas[:24] == 200).all()
    assert (canvas[24:40] == 9).all()
    assert (canvas[40:] == 200).all()


def test_a_picture_of_the_input_s_size_is_not_copied() -> None:
    picture = noise(64, 64)
    assert letterbox(picture, 64, 64)[0] is picture
