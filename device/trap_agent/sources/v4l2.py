"""Cameras that Video4Linux knows, USB cameras above all, through OpenCV."""

import numpy as np
from numpy.typing import NDArray
from trap_contract.errors import DataError, SourceError
from trap_contract.pictures import decode_picture
from trap_contract.vision import cv2

from trap_agent.sources.cameras import Size

_MJPG = cv2.VideoWriter.fourcc(*"MJPG")


class V4l2Camera:
    """A device such as /dev/video0 or, by a name that stays, /dev/v4l/by-id/...

    With a `size` it is asked for MJPG: uncompressed, large pictures don't fit through USB 2 at a useful rate.
    """

    def __init__(self, device: str, size: Size | None) -> None:
        self._device = device
        self._capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise SourceError(
                f"camera {device} can't be opened: check that it exists, that no other program uses it, "
                "and that this user may read it (group video)"
            )
        if size is not None:
            self._set_size(size)
        if self._capture.get(cv2.CAP_PROP_FOURCC) == _MJPG:
            self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)  # else OpenCV fills a torn JPEG with grey and is content
        self.rate = float(self._capture.get(cv2.CAP_PROP_FPS))

    def grab(self) -> bool:
        return bool(self._capture.grab())

    def retrieve(self) -> NDArray[np.uint8] | None:
        is_readable, data = self._capture.retrieve()
        if not is_readable:
            return None
        if data.ndim == 3 and data.shape[2] == 3:
            return np.asarray(data, np.uint8)
        try:
            return decode_picture(data.tobytes(), self._device)
        except DataError:
            return None

    def close(self) -> None:
        self._capture.release()

    def _set_size(self, size: Size) -> None:
        self._capture.set(cv2.CAP_PROP_FOURCC, _MJPG)
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        width, height = (int(self._capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if (width, height) != size:
            raise SourceError(
                f"camera {self._device} gives {width}x{height}, not {size[0]}x{size[1]}: "
                f"ask for a size that `v4l2-ctl --list-formats-ext --device {self._device}` shows"
            )
