"""Where closed windows go: the outbox, or standard output."""

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from trap_contract.errors import StoreError
from trap_contract.logs import log
from trap_contract.messages import Effort, Gap, Window

from trap_agent.outbox import Outbox
from trap_agent.windows import Draft

UNSTORED_LIMIT = 1440
"""Windows kept in memory while the outbox can't be written: a day of one a minute."""


_KEPT: Final = frozenset({"kernel_boot", "wall_ms", "mono_ms", "duration_ms", "clock", "semantics", "model"})
"""What is known of a window whatever was seen in it."""


def new_boot() -> str:
    """A random id, 128 bits in hex, for one start of the agent."""
    return secrets.token_hex(16)


class Sink(Protocol):
    """Takes every closed window, in order."""

    def accept(self, draft: Draft) -> None: ...


class OutboxSink:
    """Stores windows; those that can't be stored wait in memory.

    Of more than UNSTORED_LIMIT the oldest lose what they saw. Each is still stored, once that is possible, as a window
    without counts whose whole length is the gap `disk`: a loss is told, and never looks like a zero.
    """

    def __init__(self, outbox: Outbox, on_stored: Callable[[Window], None]) -> None:
        self._outbox = outbox
        self._on_stored = on_stored
        self._emptied: deque[EmptiedRun] = deque()
        self._waiting: deque[Draft] = deque()

    def accept(self, draft: Draft) -> None:
        """Store this draft after those that wait; says in the log what could not be stored."""
        self._waiting.append(draft)
        try:
            self._store_all()
        except StoreError as error:
            if len(self._waiting) > UNSTORED_LIMIT:
                self._empty(self._waiting.popleft())
            log.error("window not stored, kept in memory", error=str(error), kept=len(self._waiting), lost=self._lost)

    def close(self) -> None:
        """Try once more; raises StoreError when windows could not be stored."""
        try:
            self._store_all()
        except StoreError as error:
            raise StoreError(f"{len(self._waiting) + self._lost} windows could not be stored: {error}") from error

    @property
    def _lost(self) -> int:
        return sum(run.count for run in self._emptied)

    def _empty(self, draft: Draft) -> None:
        if not (self._emptied and self._emptied[-1].takes(draft)):
            self._emptied.append(EmptiedRun(emptied(draft)))

    def _store_all(self) -> None:
        while self._emptied:
            window = self._outbox.store(self._emptied[0].first)
            if self._emptied[0].drop_first() == 0:
                self._emptied.popleft()
            self._on_stored(window)
        while self._waiting:
            window = self._outbox.store(self._waiting[0])
            self._waiting.popleft()
            self._on_stored(window)


@dataclass(slots=True)
class EmptiedRun:
    """Windows side by side that lost what they saw: the first of them, and how many there are."""

    first: Draft
    count: int = 1

    def takes(self, draft: Draft) -> bool:
        """Make this draft the last of the run, if it lies beside it and is as long."""
        begin, new = self.first.keywords, draft.keywords
        fits = all(begin.get(name) == new.get(name) for name in ("kernel_boot", "duration_ms", "model"))
        if fits and new["mono_ms"] == begin["mono_ms"] + self.count * begin["duration_ms"]:
            self.count += 1
            return True
        return False

    def drop_first(self) -> int:
        """The run without its first window; how many are left."""
        keywords = self.first.keywords
        shift = {name: keywords[name] + keywords["duration_ms"] for name in ("mono_ms", "wall_ms")}
        self.first = partial(self.first, **shift)
        self.count -= 1
        return self.count


def emptied(draft: Draft) -> Draft:
    """The same window without what was seen in it: a gap from end to end."""
    seconds = draft.keywords["duration_ms"] / 1000
    lost = Effort(observed_s=0, frames_seen=0, frames_analysed=0, gaps=(Gap(reason="disk", seconds=seconds),))
    kept = {name: value for name, value in draft.keywords.items() if name in _KEPT}
    return partial(Window, **kept, counts=None, effort=lost)


class LineSink:
    """Writes each window as one line of JSON."""

    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._write_line = write_line
        self._boot = new_boot()
        self._seq = 0

    def accept(self, draft: Draft) -> None:
        self._seq += 1
        self._write_line(draft(boot=self._boot, seq=self._seq).model_dump_json())
