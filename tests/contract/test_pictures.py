"""Pictures on disk: read and written whole, or refused by name."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from trap_contract.errors import DataError, StoreError
from trap_contract.pictures import list_pictures, read_picture, write_picture
from trap_scene import Video

PIXELS = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
BOARD = Video(1).frame(0).pixels
JPEG = cv2.imencode(".jpg", BOARD)[1].tobytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures") / "p.jpg"


def test_a_png_survives_the_disk(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", PIXELS)
    assert np.array_equal(read_picture(tmp_path / "a.png"), PIXELS)


def test_what_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone/a\.png: can't be written"):
        write_picture(tmp_path / "gone" / "a.png", PIXELS)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png: can't be read as a picture"):
        read_picture(tmp_path / "a.png")


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png: can't be read: No such file"):
        read_picture(tmp_path / "none.png")


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "bmp", "webp", "tif", "PNG"])
def test_every_promised_format_is_listed_and_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p.{suffix}"
    path.write_bytes(cv2.imencode(f".{suffix.lower()}", PIXELS)[1].tobytes())
    assert list_pictures(tmp_path) == [path]
    assert read_picture(path).shape == (64, 64, 3)


@pytest.mark.parametrize("part", [0, 0.02, 0.5, 0.95])
def test_a_png_cut_short_is_never_taken_for_a_whole_one(tmp_path: Path, part: float) -> None:
    data = cv2.imencode(".png", PIXELS)[1].tobytes()
    (tmp_path / "p.png").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(DataError, match=r"p\.png"):
        read_picture(tmp_path / "p.png")


@given(st.integers(0, len(JPEG) - 2))
def test_a_jpeg_cut_short_anywhere_is_never_taken_for_a_whole_one(place: Path, length: int) -> None:
    place.write_bytes(JPEG[:length])
    with pytest.raises(DataError, match=r"p\.jpg"):
        read_picture(place)


@given(st.lists(st.tuples(st.integers(0, len(JPEG) - 1), st.integers(0, 7)), min_size=1, max_size=20))
def test_a_jpeg_with_flipped_bits_is_a_picture_or_refused(place: Path, flips: list[tuple[int, int]]) -> None:
    data = bytearray(JPEG)
    for byte, bit in flips:
        data[byte] ^= 1 << bit
    place.write_bytes(data)
    pixels = read_or_none(place)
    assert pixels is None or (pixels.ndim, pixels.shape[2], pixels.dtype) == (3, 3, np.uint8)


def read_or_none(path: Path) -> NDArray[np.uint8] | None:
    try:
        return read_picture(path)
    except DataError:
        return None


def test_a_jpeg_with_bytes_behind_its_end_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_bytes(JPEG + b"maker's note" * 100)
    assert read_picture(tmp_path / "p.jpg").shape == BOARD.shape
