"""How the connection is, for the service that flashes the light: a file in RUNTIME_DIRECTORY, if there is one."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from trap_contract.logs import log

LINK_FILE: Final = "link.json"
LinkState = Literal["connected", "refused", "away"]

_REFUSALS = ("refused:", "certificate", "CERTIFICATE", "TLSV1_ALERT", "SSLV3_ALERT")


class LinkFile:
    """Where to tell; without a folder nobody is told."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "LinkFile":
        """The folder is named by systemd."""
        folder = environment.get("RUNTIME_DIRECTORY")
        return cls(Path(folder.split(":")[0]) if folder else None)

    def connected(self) -> None:
        """The broker took us."""
        self._tell("connected", "")

    def lost(self, reason: str) -> None:
        """The broker can't be reached, or refuses us."""
        self._tell("refused" if any(word in reason for word in _REFUSALS) else "away", reason)

    def _tell(self, state: LinkState, reason: str) -> None:
        if self._folder is None:
            return
        draft = self._folder / "link.part"
        try:
            draft.write_text(json.dumps({"state": state, "reason": reason}))
            draft.replace(self._folder / LINK_FILE)
        except OSError as error:
            log.warning("the light is not told", file=str(draft), error=error.strerror)


def link_file() -> LinkFile:
    """The one that this service has."""
    return LinkFile.from_environment(os.environ)
