import cv2
import numpy as np
import pytest
from trap_agent.pictures import list_pictures, read_picture
from trap_contract.errors import DataError


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "bmp", "webp", "tif", "PNG"])
def test_every_promised_format_is_listed_and_read(tmp_path, picture, suffix):
    path = tmp_path / f"p.{suffix}"
    path.write_bytes(cv2.imencode(f".{suffix.lower()}", picture)[1].tobytes())
    assert list_pictures(tmp_path) == [path]
    assert read_picture(path).shape == (64, 64, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("part", [0, 0.02, 0.5, 0.95])
def test_a_picture_cut_short_is_never_taken_for_a_whole_one(tmp_path, picture, suffix, part):
    data = cv2.imencode(f".{suffix}", picture)[1].tobytes()
    path = tmp_path / f"p.{suffix}"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(DataError, match=str(path)):
        read_picture(path)


def test_a_jpeg_with_bytes_behind_its_end_is_read(tmp_path, picture):
    path = tmp_path / "p.jpg"
    path.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes() + b"maker's note" * 100)
    assert read_picture(path).shape == (64, 64, 3)


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_picture(tmp_path / "none.png")
