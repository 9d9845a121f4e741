"""Where frames come from: a folder, a video, a camera, or the renderer."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from trap_contract.errors import SourceError

from trap_agent.clock import Clock, Moment

SOURCES = (
    "folder:DIR, watch:DIR, video:FILE, camera:N, picamera:N, csi:N, rtsp://..., gstreamer:..., "
    "rendered[:SEED[:SECONDS]]"
)
CAMERAS = ("camera", "picamera", "csi", "gstreamer", "rtsp", "rtsps")

Pace = Literal["replay", "live", "patient"]
"""Who keeps time: a replay has its own and ends; a live source drops what is not taken; a patient one lets it wait."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture and when it was taken; `pixels` (H, W, 3) BGR, or None when it came but could not be read."""

    pixels: NDArray[np.uint8] | None
    at: Moment
    name: str = ""


class Source(Protocol):
    """Gives frames, at its pace."""

    @property
    def pace(self) -> Pace: ...

    @property
    def interval_s(self) -> float:
        """Seconds from one frame to the next when none is missing."""
        ...

    def frames(self) -> Generator[Frame | None, None, None]:
        """Frames in order of time, None where there is none yet.

        Raises SourceError when the source stops delivering; call again to reopen it.
        """
        ...


def open_source(spec: str, fps: float | None, clock: Clock, state_dir: Path, *, may_be_missing: bool = False) -> Source:
    """The source that `spec` names, one of SOURCES or a plain path; what must outlive a restart goes to `state_dir`.

    Raises SourceError when there is none, or it gives no pictures; a camera that `may_be_missing` is waited for.
    """
    kind, _, rest = spec.partition(":")
    if kind == "rendered":
        return _open_rendered(spec, rest, fps, clock)
    if kind == "watch":
        from trap_agent.sources.watched import WatchedFolder

        return WatchedFolder(Path(rest), fps, clock, state_dir)
    if kind in CAMERAS:
        from trap_agent.sources.captured import CapturedSource

        return CapturedSource(spec, fps, may_be_missing=may_be_missing)
    return _open_path(Path(rest if kind in ("folder", "video") else spec), fps, clock)


def _open_rendered(spec: str, rest: str, fps: float | None, clock: Clock) -> Source:
    from trap_agent.sources.rendered import RenderedReplay, RenderedSource

    seed, _, seconds = rest.partition(":")
    number = whole_number(spec, seed or "0")
    return (
        RenderedReplay(number, whole_number(spec, seconds), fps, clock)
        if seconds
        else RenderedSource(number, fps, clock)
    )


def _open_path(path: Path, fps: float | None, clock: Clock) -> Source:
    if path.is_dir():
        from trap_agent.sources.folder import FolderSource

        return FolderSource(path, fps, clock)
    if path.is_file():
        from trap_agent.sources.video import VideoSource

        return VideoSource(path, fps, clock)
    raise SourceError(f"{path}: no such source; give {SOURCES}, or a path")


def whole_number(spec: str, text: str) -> int:
    """The number behind a spec's colon. Raises SourceError where there is none."""
    if not (text.isascii() and text.isdigit()):
        raise SourceError(f"source {spec!r}: a whole number belongs behind the colon, as in camera:0 or rendered:7")
    return int(text)


def shown(spec: str) -> str:
    """A spec as logs and errors may show it: of an address only the host, of a pipeline only its elements."""
    kind, _, rest = spec.partition(":")
    if kind in ("rtsp", "rtsps"):
        return f"{kind}://{rest.removeprefix('//').partition('/')[0].rpartition('@')[2]}"
    if kind == "gstreamer":
        return "gstreamer:" + " ! ".join(part.split(maxsplit=1)[0] for part in rest.split("!") if part.strip())
    return spec
