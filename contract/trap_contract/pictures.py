"""Pictures of a data set, as pixels."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trap_contract.errors import DataError, StoreError


def read_picture(picture: Path) -> NDArray[np.uint8]:
    """The pixels of a picture, (H, W, 3) BGR.

    Raises DataError when it can't be read.
    """
    pixels = cv2.imread(str(picture))
    if pixels is None:
        raise DataError(f"{picture}: can't be read as a picture: mend or remove it")
    return np.asarray(pixels, np.uint8)


def write_picture(file: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) BGR pixels; the suffix names the format.

    Raises StoreError when they can't be written.
    """
    if not cv2.imwrite(str(file), pixels):
        raise StoreError(f"{file}: can't be written: is there room, and may this folder be written to?")
