"""Cameras behind a GStreamer pipeline, those of a Jetson among them.

The wheels of OpenCV have no GStreamer; PyGObject, of the board's own system, has.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from trap_contract.errors import SourceError

from trap_agent.sources import shown
from trap_agent.sources.cameras import Size

_SINK = "videoconvert ! video/x-raw,format=BGR ! appsink name=frames max-buffers=1 drop=true sync=false"
_TIMEOUT_NS = 7_000_000_000
_CSI_SIZE = (1920, 1080)


def csi_pipeline(sensor: int, size: Size | None) -> str:
    """The pipeline of a camera on a Jetson's CSI socket."""
    width, height = size or _CSI_SIZE
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),width={width},height={height} "
        "! nvvidconv ! video/x-raw,format=BGRx"
    )


class GstreamerCamera:
    """What a pipeline gives that ends in raw video, such as `v4l2src ! jpegdec`; its sink is added here."""

    def __init__(self, pipeline: str) -> None:
        self._name = shown(f"gstreamer:{pipeline}")
        self._gst, glib = _bindings()
        try:
            self._pipeline = self._gst.parse_launch(f"{pipeline} ! {_SINK}")
        except glib.Error as error:
            raise SourceError(f"{self._name} is no pipeline that runs here: {error.message}") from error
        self._frames = self._pipeline.get_by_name("frames")
        self._sample: Any = None
        self._pipeline.set_state(self._gst.State.PLAYING)
        try:
            self._pull()
        except SourceError:
            self.close()
            raise
        has_rate, rate, per_s = self._structure().get_fraction("framerate")
        self.rate = rate / per_s if has_rate else 0.0

    def grab(self) -> bool:
        self._pull()
        return True

    def retrieve(self) -> NDArray[np.uint8] | None:
        """The rows of a picture are padded to four bytes."""
        width, height = (self._structure().get_value(side) for side in ("width", "height"))
        buffer = self._sample.get_buffer()
        is_mapped, memory = buffer.map(self._gst.MapFlags.READ)
        if not is_mapped:
            return None
        try:
            rows = np.frombuffer(memory.data, np.uint8).reshape(height, -1)
            return np.ascontiguousarray(rows[:, : width * 3].reshape(height, width, 3))
        finally:
            buffer.unmap(memory)

    def close(self) -> None:
        self._pipeline.set_state(self._gst.State.NULL)

    def _pull(self) -> None:
        self._sample = self._frames.emit("try-pull-sample", _TIMEOUT_NS)
        if self._sample is None:
            message = self._pipeline.get_bus().pop_filtered(self._gst.MessageType.ERROR)
            reason = message.parse_error()[0].message if message else "no picture comes, and no error"
            raise SourceError(f"{self._name}: {reason}: try the pipeline with gst-launch-1.0")

    def _structure(self) -> Any:
        return self._sample.get_caps().get_structure(0)


def _bindings() -> tuple[Any, Any]:
    try:
        import gi

        gi.require_version("Gst", "1.0")
        from gi.repository import GLib, Gst
    except (ImportError, ValueError) as error:
        raise SourceError(
            "GStreamer sources need PyGObject: apt install python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base "
            f"gstreamer1.0-plugins-good, and make the agent's venv with --system-site-packages ({error})"
        ) from error
    Gst.init(None)
    return Gst, GLib
