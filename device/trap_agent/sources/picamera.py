"""Cameras on a Raspberry Pi's CSI socket, through Picamera2 and libcamera."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trap_contract.errors import SourceError

from trap_agent.sources.cameras import Size

_SIZE = (1920, 1080)
_FRAME_US = 33_333
_BUFFERS = 4
"""Fewer than Picamera2's six: they lie in memory that a Pi Zero has little of, and the newest frame is all we want."""


class PiCamera:
    """The camera of this number, as `rpicam-hello --list-cameras` counts them, at 30 frames a second."""

    rate = 1e6 / _FRAME_US

    def __init__(self, number: int, size: Size | None) -> None:
        self._request: Any = None
        picamera2 = _library()
        try:
            self._camera = picamera2.Picamera2(number)
            # libcamera names formats by the order in a word: its RGB888 is B, G, R in memory
            main = {"size": size or _SIZE, "format": "RGB888"}
            controls = {"FrameDurationLimits": (_FRAME_US, _FRAME_US)}
            self._camera.configure(
                self._camera.create_video_configuration(main=main, controls=controls, buffer_count=_BUFFERS)
            )
            self._camera.start()
        except (RuntimeError, IndexError, OSError) as error:
            raise SourceError(
                f"picamera:{number} can't be opened: {error}: check its ribbon cable, "
                "and that rpicam-hello --list-cameras shows it"
            ) from error

    def grab(self) -> bool:
        self._let_go()
        self._request = self._camera.capture_request()
        return self._request is not None

    def retrieve(self) -> NDArray[np.uint8] | None:
        return np.asarray(self._request.make_array("main"), np.uint8)

    def close(self) -> None:
        self._let_go()
        self._camera.stop()
        self._camera.close()

    def _let_go(self) -> None:
        """Give the frame's buffer back: without it the camera stops after the last one."""
        if self._request is not None:
            self._request.release()
            self._request = None


def _library() -> Any:
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    try:
        import picamera2
    except ImportError as error:
        raise SourceError(
            "Raspberry Pi cameras need Picamera2: apt install python3-picamera2 (Raspberry Pi OS), and make the "
            f"agent's venv with --system-site-packages ({error})"
        ) from error
    return picamera2
