"""A folder that something else puts pictures into: each is shown once, when it has been written whole."""

import os
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trap_contract.errors import DataError, SourceError
from trap_contract.logs import log
from trap_contract.pictures import PICTURE_SUFFIXES, read_picture

from trap_agent.clock import Clock, Moment
from trap_agent.sources import Frame, Pace
from trap_agent.sources.seen import SeenPictures, Stamp

_FPS = 1.0
_SCAN_S = 0.5
_SETTLED_S = 1.0
_GIVEN_UP_S = 10.0
"""A picture that can't be read and has not changed for so long is damaged, not half written."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that has not changed since it had this stamp, seen first at `since_s`."""

    name: str
    stamp: Stamp
    since_s: float


class Settling:
    """Which files have been left alone for a second, in the order of their appearance."""

    def __init__(self) -> None:
        self._pending: dict[str, Arrival] = {}

    def look(self, new: Mapping[str, Stamp], now_s: float) -> list[Arrival]:
        """Those of the new files that have settled; they are not told again unless they are put back."""
        self._pending = {name: arrival for name, arrival in self._pending.items() if name in new}
        for name, stamp in sorted(new.items(), key=lambda item: (item[1].mtime_ns, item[0])):
            known = self._pending.get(name)
            if known is None or known.stamp != stamp:
                self._pending[name] = Arrival(name, stamp, now_s)
        settled = [arrival for arrival in self._pending.values() if now_s - arrival.since_s >= _SETTLED_S]
        for arrival in settled:
            del self._pending[arrival.name]
        return settled

    def put_back(self, arrival: Arrival) -> None:
        """Tell of it again."""
        self._pending[arrival.name] = arrival


class WatchedFolder:
    """Pictures as they arrive, `fps` being the rate at which they are expected; its time is that of their arrival.

    Those that were there before the first start are not shown; after that every picture is, once, through all
    restarts. Raises SourceError for a folder that can't be read, StoreError when nothing can be remembered.
    """

    pace: Pace = "patient"

    def __init__(self, folder: Path, fps: float | None, clock: Clock, state_dir: Path) -> None:
        self.interval_s = 1 / (fps or _FPS)
        self._folder = folder
        self._clock = clock
        self._settling = Settling()
        self._whole: deque[tuple[Arrival, Moment]] = deque()
        self._scan_due_s = 0.0
        there = self._list()
        self._seen = SeenPictures(state_dir / "watched.db", folder.resolve())
        if self._seen.is_new:
            self._seen.begin(there)
            log.info("pictures already there are not counted, folder:DIR would", folder=str(folder), count=len(there))

    def frames(self) -> Generator[Frame | None, None, None]:
        """The next picture, or None while there is none. Raises SourceError when the folder can't be read."""
        while True:
            self._scan(self._clock.now())
            yield self._show(*self._whole.popleft()) if self._whole else None

    def _scan(self, now: Moment) -> None:
        if now.mono_s < self._scan_due_s:
            return
        there = self._list()
        self._scan_due_s = now.mono_s + _SCAN_S
        waiting = {arrival.name for arrival, _ in self._whole}
        new = {name: stamp for name, stamp in there.items() if name not in waiting and not self._seen.has(name, stamp)}
        self._whole.extend((arrival, now) for arrival in self._settling.look(new, now.mono_s))
        self._seen.prune(there)

    def _show(self, arrival: Arrival, at: Moment) -> Frame | None:
        try:
            pixels = read_picture(self._folder / arrival.name)
        except DataError as error:
            if at.mono_s - arrival.since_s < _GIVEN_UP_S:
                self._settling.put_back(arrival)
                return None
            log.warning("unreadable picture", error=str(error))
            pixels = None
        self._seen.add(arrival.name, arrival.stamp)
        return Frame(pixels, at, arrival.name)

    def _list(self) -> dict[str, Stamp]:
        try:
            with os.scandir(self._folder) as entries:
                pictures = [entry for entry in entries if _is_picture(entry)]
            return {entry.name: stamp for entry in pictures if (stamp := _stamp(entry)) is not None}
        except OSError as error:
            raise SourceError(f"watch:{self._folder} can't be read: {error.strerror}: make or mount it") from error


def _is_picture(entry: os.DirEntry[str]) -> bool:
    """Hidden files are what rsync and others write before they rename."""
    return not entry.name.startswith(".") and Path(entry.name).suffix.lower() in PICTURE_SUFFIXES


def _stamp(entry: os.DirEntry[str]) -> Stamp | None:
    """None for what is no file, or is gone already."""
    try:
        status = entry.stat()
        return Stamp(status.st_size, status.st_mtime_ns) if entry.is_file() else None
    except FileNotFoundError:
        return None
