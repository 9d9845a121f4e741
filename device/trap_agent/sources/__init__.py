"""Where frames come from: a folder, a video, a camera, or the renderer."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from trap_contract.errors import SourceError

from trap_agent.clock import Clock, Moment


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture and when it was taken; `pixels` (H, W, 3) BGR, or None when it came but could not be read."""

    pixels: NDArray[np.uint8] | None
    at: Moment
    name: str = ""


class Source(Protocol):
    """A live source drops what is not taken in time; any other is a replay, in its own time, that ends."""

    @property
    def is_live(self) -> bool: ...

    @property
    def interval_s(self) -> float:
        """Seconds from one frame to the next when none is missing."""
        ...

    def frames(self) -> Generator[Frame, None, None]:
        """Frames in order of time. Raises SourceError when a live source stops delivering; call again to reopen it."""
        ...


def open_source(spec: str, fps: float | None, clock: Clock) -> Source:
    """The source that `spec` names: folder:PATH, video:PATH, camera:N, rendered[:SEED], or a plain path.

    Raises SourceError when there is none, or it gives no pictures.
    """
    kind, _, rest = spec.partition(":")
    if kind == "rendered":
        from trap_agent.sources.rendered import RenderedSource

        return RenderedSource(_whole_number(spec, rest or "0"), fps, clock)
    if kind == "camera":
        from trap_agent.sources.camera import CameraSource

        return CameraSource(_whole_number(spec, rest), fps, clock)
    return _open_path(Path(rest if kind in ("folder", "video") else spec), fps, clock)


def _open_path(path: Path, fps: float | None, clock: Clock) -> Source:
    if path.is_dir():
        from trap_agent.sources.folder import FolderSource

        return FolderSource(path, fps, clock)
    if path.is_file():
        from trap_agent.sources.video import VideoSource

        return VideoSource(path, fps, clock)
    raise SourceError(f"{path}: no such source; give folder:PATH, video:PATH, camera:N, rendered[:SEED], or a path")


def _whole_number(spec: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise SourceError(f"source {spec!r}: a whole number belongs behind the colon, as in camera:0 or rendered:7")
    return int(text)
