"""A folder of pictures, each shown once, by name: a time lapse."""

from collections.abc import Generator
from pathlib import Path

from trap_contract.errors import DataError, SourceError
from trap_contract.logs import log
from trap_contract.pictures import list_pictures, read_picture

from trap_agent.clock import Clock
from trap_agent.sources import Frame, Pace

_FPS = 1.0


class FolderSource:
    """Replays the pictures at `fps` in its own time, which begins with the first.

    Raises SourceError for a folder without pictures.
    """

    pace: Pace = "replay"

    def __init__(self, folder: Path, fps: float | None, clock: Clock) -> None:
        self.interval_s = 1 / (fps or _FPS)
        self._clock = clock
        self._paths = list_pictures(folder)
        if not self._paths:
            raise SourceError(f"{folder}: no pictures in this folder (jpg, jpeg, png, bmp, webp, tif)")

    def frames(self) -> Generator[Frame, None, None]:
        """Each picture; an unreadable one is named in the log and has no pixels."""
        begun = self._clock.now()
        for index, path in enumerate(self._paths):
            at = begun.later(index * self.interval_s)
            try:
                yield Frame(read_picture(path), at, path.name)
            except DataError as error:
                log.warning("unreadable picture", picture=str(path), error=str(error))
                yield Frame(None, at, path.name)
