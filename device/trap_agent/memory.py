"""What an agent remembers of its commands: the settings configured from afar, and the answers it gave."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel
from trap_contract.messages import Answer

from trap_agent.settings import LIVE, Value
from trap_agent.statefile import read_state

FILE_NAME: Final = "remote.json"


class Memory(BaseModel):
    """What was configured from afar, and the last answers, oldest first."""

    settings: dict[str, Value] = {}
    answers: dict[str, Answer] = {}


def read_memory(folder: Path) -> Memory:
    """What an earlier run left; values of settings that this agent does not let change are left out."""
    memory = read_state(folder / FILE_NAME, Memory) or Memory()
    return Memory(
        settings={name: memory.settings[name] for name in LIVE if name in memory.settings}, answers=memory.answers
    )
