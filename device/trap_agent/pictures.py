"""Picture files: which there are, and their pixels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from trap_contract.errors import DataError

from trap_agent.vision import cv2

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


def list_pictures(folder: Path) -> list[Path]:
    """The picture files of a folder, by name; folders inside it are not entered."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The pixels of a picture file, (H, W, 3) BGR, turned as its EXIF says.

    Raises DataError when it is missing, damaged or cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}") from error
    if _is_cut_short(data):
        raise DataError(f"{path}: the file is cut short: copy it again")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise DataError(f"{path}: can't be decoded: {error}") from error
    if pixels is None:
        raise DataError(f"{path}: not a picture, or damaged")
    return np.asarray(pixels, np.uint8)


def _is_cut_short(data: bytes) -> bool:
    """Whether a JPEG lacks its end: OpenCV 4 fills the rest with grey and calls it a picture."""
    return data.startswith(_JPEG_START) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)
