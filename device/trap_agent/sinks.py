"""Where closed windows go: the outbox, or standard output."""

import secrets
from collections import deque
from collections.abc import Callable
from typing import Protocol

from trap_contract.errors import StoreError
from trap_contract.logs import log
from trap_contract.messages import Window

from trap_agent.outbox import Outbox
from trap_agent.windows import Draft

UNSTORED_LIMIT = 1440
"""Windows kept in memory while the outbox can't be written: a day of one a minute."""


def new_boot() -> str:
    """A random id, 128 bits in hex, for one start of the agent."""
    return secrets.token_hex(16)


class Sink(Protocol):
    """Takes every closed window, in order."""

    def accept(self, draft: Draft) -> None: ...


class OutboxSink:
    """Stores windows; those that can't be stored wait in memory, the oldest given up beyond UNSTORED_LIMIT."""

    def __init__(self, outbox: Outbox, on_stored: Callable[[Window], None]) -> None:
        self._outbox = outbox
        self._on_stored = on_stored
        self._waiting: deque[Draft] = deque()
        self._lost = 0

    def accept(self, draft: Draft) -> None:
        """Store this draft after those that wait; says in the log what could not be stored."""
        self._waiting.append(draft)
        try:
            self._store_all()
        except StoreError as error:
            if len(self._waiting) > UNSTORED_LIMIT:
                self._waiting.popleft()
                self._lost += 1
            log.error("window not stored, kept in memory", error=str(error), kept=len(self._waiting), lost=self._lost)

    def close(self) -> None:
        """Try once more; raises StoreError when windows could not be stored."""
        try:
            self._store_all()
        except StoreError as error:
            raise StoreError(f"{len(self._waiting) + self._lost} windows could not be stored: {error}") from error
        if self._lost:
            raise StoreError(f"{self._lost} windows were lost while the outbox could not be written: see the log")

    def _store_all(self) -> None:
        while self._waiting:
            window = self._outbox.store(self._waiting[0])
            self._waiting.popleft()
            self._on_stored(window)


class LineSink:
    """Writes each window as one line of JSON."""

    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._write_line = write_line
        self._boot = new_boot()
        self._seq = 0

    def accept(self, draft: Draft) -> None:
        self._seq += 1
        self._write_line(draft(boot=self._boot, seq=self._seq).model_dump_json())
