"""Settings from afar: a document is followed as a whole or not at all, and remembered through restarts."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from trap_contract.errors import ConfigError, MessageError, StoreError
from trap_contract.logs import log
from trap_contract.messages import Value, WantedSettings, parse_message
from trap_contract.settings import LIVE

from trap_agent.session import Heard
from trap_agent.statefile import read_state, write_state
from trap_agent.tuning import Tuning

FILE_NAME: Final = "afar.json"

_MOST_TEXT = 1024


class Afar(BaseModel):
    """The version heard last, why it is not followed, if so; and the settings that are, perhaps of an earlier one."""

    version: int | None = None
    refused: str = ""
    settings: dict[str, Value] = {}


def read_afar(folder: Path) -> Afar:
    """What an earlier run left; settings that this agent does not let change are left out."""
    kept = read_state(folder / FILE_NAME, Afar) or Afar()
    return kept.model_copy(update={"settings": {name: kept.settings[name] for name in LIVE if name in kept.settings}})


class SettingsAfar:
    """Hears what the collector wants of one trap."""

    def __init__(self, trap: str, folder: Path, tuning: Tuning) -> None:
        self._trap = trap
        self._file = folder / FILE_NAME
        self._tuning = tuning
        self._kept = read_afar(folder)
        if tuning.afar != self._kept.settings:
            self._kept.refused = self._kept.refused or "no longer valid here since the agent started: see its log"

    def report(self) -> dict[str, object]:
        """What the birth says of it."""
        return {"settings_version": self._kept.version, "settings_refused": self._kept.refused}

    def hear(self, heard: Heard) -> bool:
        """Follow a document from the next window on, or remember why not; whether the report has changed."""
        wanted = self._understood(heard)
        if wanted is None or (wanted.version == self._kept.version and not self._kept.refused):
            return False
        before, self._kept = self._kept, self._followed(wanted)
        if self._kept != before:
            log.info("settings from afar", version=wanted.version, refused=self._kept.refused or None)
        return self._kept != before

    def _understood(self, heard: Heard) -> WantedSettings | None:
        try:
            wanted = parse_message(WantedSettings, heard.payload)
        except MessageError as error:
            log.warning("settings from afar ignored", error=str(error))
            return None
        if wanted.trap != self._trap:
            log.warning("settings from afar ignored", error=f"they are for trap {wanted.trap!r}")
            return None
        return wanted

    def _followed(self, wanted: WantedSettings) -> Afar:
        """Kept before it is in force: after a power cut it is both or neither."""
        try:
            self._tuning.check(wanted.settings)
            kept = Afar(version=wanted.version, settings=wanted.settings)
            write_state(self._file, kept)
            self._tuning.adopt(wanted.settings)
        except (ConfigError, StoreError) as error:
            kept = Afar(version=wanted.version, refused=str(error)[:_MOST_TEXT], settings=self._tuning.afar)
            with suppress(StoreError):  # it is heard again at the next connect
                write_state(self._file, kept)
        return kept
