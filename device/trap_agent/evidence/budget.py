"""How many bytes of crops a day may send, spread over it: not all is spent on the first insects."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel

from trap_agent.evidence.box import FOLDER
from trap_agent.statefile import read_state, write_state

_DAY_MS: Final = 24 * 3600 * 1000
_AHEAD: Final = 0.1


class _Spent(BaseModel):
    day: int = 0
    total: int = 0


class Budget:
    """What was spent of a UTC day, also through restarts; a clock that is set begins another day at most."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / FOLDER / "spent.json"
        self._spent = read_state(self._file, _Spent) or _Spent()

    def allows(self, size: int, a_day: float, wall_ms: int) -> bool:
        """Whether so many bytes may be spent now: never more than a tenth ahead of the day."""
        day, into = divmod(wall_ms, _DAY_MS)
        total = self._spent.total if self._spent.day == day else 0
        return total + size <= a_day * min(1.0, into / _DAY_MS + _AHEAD)

    def spend(self, size: int, wall_ms: int) -> None:
        """Count them. Raises StoreError when that can't be kept."""
        day = wall_ms // _DAY_MS
        total = self._spent.total if self._spent.day == day else 0
        self._spent = _Spent(day=day, total=total + size)
        write_state(self._file, self._spent)
