"""What all cameras have in common, as the capture process sees them."""

import re
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trap_agent.sources import whole_number

Size = tuple[int, int]

_SIZED = re.compile(r"(.+)@(\d+)x(\d+)")


class Camera(Protocol):
    """An opened camera. Any call may hang: it then runs in a process that can be killed."""

    @property
    def rate(self) -> float:
        """Frames a second that it gives; 0 where it does not say."""
        ...

    def grab(self) -> bool:
        """Wait for the next frame; False, or SourceError with the reason, when there will be none."""
        ...

    def retrieve(self) -> NDArray[np.uint8] | None:
        """The frame grabbed last, (H, W, 3) BGR, or None when it can't be read."""
        ...

    def close(self) -> None:
        """Let go of the camera."""
        ...


def open_camera(spec: str) -> Camera:
    """The camera that `spec` names. Raises SourceError when there is none."""
    kind, _, rest = spec.partition(":")
    if kind in ("rtsp", "rtsps"):
        from trap_agent.sources.rtsp import RtspCamera

        return RtspCamera(spec)
    if kind == "gstreamer":
        from trap_agent.sources.gstreamer import GstreamerCamera

        return GstreamerCamera(rest)
    name, size = _split_size(rest)
    if kind == "csi":
        from trap_agent.sources.gstreamer import GstreamerCamera, csi_pipeline

        return GstreamerCamera(csi_pipeline(whole_number(spec, name), size))
    if kind == "picamera":
        from trap_agent.sources.picamera import PiCamera

        return PiCamera(whole_number(spec, name), size)
    from trap_agent.sources.v4l2 import V4l2Camera

    return V4l2Camera(name if name.startswith("/dev/") else f"/dev/video{whole_number(spec, name)}", size)


def _split_size(text: str) -> tuple[str, Size | None]:
    """`0@1280x720` is camera 0 and the size of its pictures."""
    match = _SIZED.fullmatch(text)
    return (match[1], (int(match[2]), int(match[3]))) if match else (text, None)
