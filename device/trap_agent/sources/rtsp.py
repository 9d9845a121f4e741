"""Network cameras that speak RTSP, through OpenCV's FFmpeg."""

import numpy as np
from numpy.typing import NDArray
from trap_contract.errors import SourceError
from trap_contract.vision import cv2

from trap_agent.sources import shown

_TIMEOUT_MS = 7000
"""Below the silence after which the agent gives the capture process up: this error says more."""


class RtspCamera:
    """The video of an address rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH, over TCP. No error shows more than its host."""

    def __init__(self, address: str) -> None:
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
        self._capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, timeouts)
        if not self._capture.isOpened():
            raise SourceError(
                f"{shown(address)} can't be opened: check that the camera answers there, its path, user and password"
            )
        self.rate = float(self._capture.get(cv2.CAP_PROP_FPS))

    def grab(self) -> bool:
        return bool(self._capture.grab())

    def retrieve(self) -> NDArray[np.uint8] | None:
        is_readable, pixels = self._capture.retrieve()
        return np.asarray(pixels, np.uint8) if is_readable else None

    def close(self) -> None:
        self._capture.release()
