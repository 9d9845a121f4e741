"""What the collector knows of a trap, and how a new sighting changes it; pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from trap_contract.messages import State

from trap_server.sorting import Sighting

SILENT_AFTER_MS = 5 * 60_000
SILENT_AFTER_WINDOWS = 3

Status = Literal["online", "silent", "stopped", "offline", "unknown"]


@dataclass(frozen=True, slots=True)
class TrapRecord:
    """A row of `traps`; None where the trap has not told."""

    tenant: str
    trap: str
    last_seen_ms: int | None = None
    window_ms: int | None = None
    boot: str | None = None
    birth: str | None = None
    state: str | None = None
    state_wall_ms: int | None = None

    @property
    def birth_content(self) -> dict[str, Any]:
        """The birth as the trap sent it; empty before the first."""
        content: dict[str, Any] = json.loads(self.birth) if self.birth else {}
        return content

    def as_row(self) -> dict[str, str | int | None]:
        """By column."""
        return {name: getattr(self, name) for name in self.__slots__}

    def after(self, sightings: Iterable[Sighting]) -> "TrapRecord":
        """The record with the sightings folded in, in their order."""
        record, seen_at_ms, window_ms = self, self.last_seen_ms, self.window_ms
        for sighting in sightings:
            seen_at_ms = max((seen_at_ms, sighting.seen_at_ms), key=lambda ms: ms or 0)
            window_ms = sighting.window_ms or window_ms
            record = record._told(sighting)
        return replace(record, last_seen_ms=seen_at_ms, window_ms=window_ms)

    def _told(self, sighting: Sighting) -> "TrapRecord":
        record = self
        if sighting.birth is not None:
            record = replace(record, boot=sighting.birth.boot, birth=sighting.birth.model_dump_json())
        if sighting.state is not None and record._believes(sighting.state):  # noqa: SLF001  same class
            state = sighting.state
            record = replace(record, boot=state.boot, state=state.state, state_wall_ms=state.wall_ms)
        return record

    def _believes(self, state: State) -> bool:
        """A last will that comes late, from before a restart, must not end the newer boot."""
        return state.state == "online" or self.boot in (None, state.boot)

    def status(self, now_ms: int) -> Status:
        """The trap's own word, except that one online and quiet for long is silent."""
        if self.state == "stopped":
            return "stopped"
        if self.state == "offline":
            return "offline"
        if self.last_seen_ms is None:
            return "unknown"
        patience_ms = max(SILENT_AFTER_MS, SILENT_AFTER_WINDOWS * (self.window_ms or 0))
        return "silent" if now_ms - self.last_seen_ms > patience_ms else "online"
