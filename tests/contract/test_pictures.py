"""Pictures on disk: read and written whole, or refused by name."""

from pathlib import Path

import numpy as np
import pytest
from trap_contract.errors import DataError, StoreError
from trap_contract.pictures import read_picture, write_picture


def test_a_png_survives_the_disk(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    write_picture(tmp_path / "a.png", pixels)
    assert np.array_equal(read_picture(tmp_path / "a.png"), pixels)


def test_what_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone/a\.png: can't be written"):
        write_picture(tmp_path / "gone" / "a.png", np.zeros((4, 4, 3), np.uint8))


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png: can't be read as a picture"):
        read_picture(tmp_path / "a.png")
