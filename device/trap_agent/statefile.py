"""Small files in the state folder that a power cut leaves either as they were or as they should be."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from trap_contract.errors import StoreError
from trap_contract.logs import log

State = TypeVar("State", bound=BaseModel)


def read_state(path: Path, kind: type[State]) -> State | None:
    """What was written last; None where nothing was. A damaged file is said in the log and counts as nothing."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.error("state file can't be read, going on without it", path=str(path), error=str(error).splitlines()[0])
        return None


def write_state(path: Path, state: BaseModel) -> None:
    """Replace the file at once and for good. Raises StoreError, and then the old one is still there."""
    draft = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(state.model_dump_json().encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: can't be written: {error.strerror}: check the card and its space") from error


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the card. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
