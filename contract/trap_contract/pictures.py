"""Picture files: which there are, and their pixels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trap_contract.errors import DataError, StoreError
from trap_contract.vision import cv2

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


def list_pictures(folder: Path) -> list[Path]:
    """The picture files of a folder, by name; folders inside it are not entered."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())


def read_picture(picture: Path) -> NDArray[np.uint8]:
    """The pixels of a picture file, (H, W, 3) BGR, turned as its EXIF says.

    Raises DataError when it is missing, damaged or cut short.
    """
    try:
        data = picture.read_bytes()
    except OSError as error:
        raise DataError(f"{picture}: can't be read: {error.strerror}") from error
    return decode_picture(data, str(picture))


def decode_picture(data: bytes, name: str) -> NDArray[np.uint8]:
    """The pixels of an encoded picture, (H, W, 3) BGR, turned as its EXIF says.

    Raises DataError, which names it, when it is damaged or cut short.
    """
    if _is_cut_short(data):
        raise DataError(f"{name}: the picture is cut short: copy it again")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise DataError(f"{name}: can't be decoded, mend or remove it: {error}") from error
    if pixels is None:
        raise DataError(f"{name}: can't be read as a picture: mend or remove it")
    return np.asarray(pixels, np.uint8)


def write_picture(file: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) BGR pixels; the suffix names the format.

    Raises StoreError when they can't be written.
    """
    if not cv2.imwrite(str(file), pixels):
        raise StoreError(f"{file}: can't be written: is there room, and may this folder be written to?")


def _is_cut_short(data: bytes) -> bool:
    """Whether a JPEG lacks its end: OpenCV fills the rest with grey and calls it a picture."""
    return data.startswith(_JPEG_START) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)
