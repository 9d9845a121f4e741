"""Pictures on disk until the collector has them: a folder of ready messages.

They are the first to go: the oldest when the folder is full, and as many as it takes when the disk is short of space.
"""

import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trap_contract.errors import StoreError
from trap_contract.logs import log
from trap_contract.messages import Evidence

from trap_agent.statefile import read_state, write_state

FOLDER: Final = "evidence"
RESERVE_BYTES: Final = 100_000_000
"""Of a disk with less free space than this no picture takes any."""


@dataclass(frozen=True, slots=True)
class _Held:
    file: Path
    size: int


class EvidenceBox:
    """The pictures of one trap; safe to use from several threads."""

    def __init__(self, state_dir: Path, most_bytes: int) -> None:
        self._folder = state_dir / FOLDER
        self._most_bytes = most_bytes
        self._mutex = threading.Lock()
        with suppress(OSError):  # the disk may be read-only
            for part in self._folder.glob("*.part"):  # a power cut's
                part.unlink(missing_ok=True)
        files = sorted(self._folder.glob("*-*.json"))
        self._held = {file.stem.split("-")[1]: _Held(file, file.stat().st_size) for file in files}
        self._number = int(files[-1].stem.split("-")[0]) if files else 0

    @property
    def held(self) -> int:
        """How many pictures wait."""
        return len(self._held)

    def put(self, evidence: Evidence) -> int:
        """Keep a picture; the bytes that it takes. Raises StoreError when it can't be kept."""
        with self._mutex:
            if self._free() < RESERVE_BYTES:
                raise StoreError(f"{self._folder}: the disk is short of space, no picture is kept: free some")
            self._number += 1
            file = self._folder / f"{self._number:010d}-{evidence.id}.json"
            write_state(file, evidence)
            self._held[evidence.id] = _Held(file, size := file.stat().st_size)
            self._drop(lambda: sum(one.size for one in self._held.values()) > self._most_bytes)
        return size

    def first(self, without: Iterable[str] = ()) -> Evidence | None:
        """The picture held longest, but for these; a damaged one is given up."""
        skipped = set(without)
        with self._mutex:
            for name in [name for name in self._held if name not in skipped]:
                evidence = read_state(self._held[name].file, Evidence)
                if evidence is not None:
                    return evidence
                self._remove(name)
        return None

    def forget(self, names: Iterable[str]) -> None:
        """The collector has these."""
        with self._mutex:
            for name in names:
                self._remove(name)

    def make_room(self) -> None:
        """Give pictures up until the disk has its reserve again."""
        with self._mutex:
            if dropped := self._drop(lambda: self._free() < RESERVE_BYTES):
                log.warning("the disk is short of space, pictures go first", dropped=dropped, left=len(self._held))

    def _drop(self, is_too_much: Callable[[], bool]) -> int:
        before = len(self._held)
        while self._held and is_too_much():
            self._remove(next(iter(self._held)))
        return before - len(self._held)

    def _remove(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is None:
            return
        try:
            held.file.unlink(missing_ok=True)
        except OSError as error:
            log.error("a picture can't be removed", path=str(held.file), error=str(error))

    def _free(self) -> int:
        try:
            return shutil.disk_usage(self._folder.parent).free
        except OSError:
            return 0
