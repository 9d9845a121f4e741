"""How the connection and the pictures are, for the service that flashes the light: files in RUNTIME_DIRECTORY."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from trap_contract.logs import log

LINK_FILE: Final = "link.json"
PICTURES_FILE: Final = "pictures.json"
LinkState = Literal["connected", "refused", "away"]
PicturesState = Literal["coming", "lost"]

_REFUSALS = ("refused:", "certificate", "CERTIFICATE", "TLSV1_ALERT", "SSLV3_ALERT")


@dataclass(slots=True)
class RunFile:
    """One file that holds a state and its reason, replaced when either changes; without a folder nobody is told."""

    folder: Path | None
    name: str
    _told: tuple[str, str] | None = None

    def tell(self, state: str, reason: str) -> None:
        """Replace the file at once, unless it says so already."""
        if self.folder is None or (state, reason) == self._told:
            return
        draft = (self.folder / self.name).with_suffix(".part")
        try:
            draft.write_text(json.dumps({"state": state, "reason": reason}))
            draft.replace(self.folder / self.name)
            self._told = state, reason
        except OSError as error:
            log.warning("the light is not told", file=str(draft), error=error.strerror)


class LinkFile:
    """How the connection to the broker is."""

    def __init__(self, folder: Path | None) -> None:
        self._file = RunFile(folder, LINK_FILE)

    def connected(self) -> None:
        """The broker took us."""
        self._tell("connected", "")

    def lost(self, reason: str) -> None:
        """The broker can't be reached, or refuses us."""
        self._tell("refused" if any(word in reason for word in _REFUSALS) else "away", reason)

    def _tell(self, state: LinkState, reason: str) -> None:
        self._file.tell(state, reason)


class PicturesFile:
    """Whether pictures come from the source."""

    def __init__(self, folder: Path | None) -> None:
        self._file = RunFile(folder, PICTURES_FILE)

    def coming(self) -> None:
        """A picture came."""
        self._tell("coming", "")

    def lost(self, reason: str) -> None:
        """The source can't be opened, or gives no pictures."""
        self._tell("lost", reason)

    def _tell(self, state: PicturesState, reason: str) -> None:
        self._file.tell(state, reason)


def run_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder that systemd names for this service, if it does."""
    folder = environment.get("RUNTIME_DIRECTORY")
    return Path(folder.split(":")[0]) if folder else None
