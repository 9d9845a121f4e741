"""`trap-card watch`: look at card, Wi-Fi and delivery; flash what is wrong and write it onto the card."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from trap_contract.logs import log

from trap_agent.card.apply import Board, own_name
from trap_agent.card.boot_partition import read_folder, write_status
from trap_agent.card.condition import Condition, of_card, of_delivery, of_pictures, of_wifi, shown, status_text
from trap_agent.card.derive import RUN
from trap_agent.card.light import Light, find_light
from trap_agent.runfiles import LINK_FILE, PICTURES_FILE

EVERY_S = 5.0
STEADY_S = 30.0
"""The card is written only once a condition has lasted so long: each write wears it, and moments say little."""
AGAIN_S = 600.0
"""A card that could not be written is tried again after so long."""


@dataclass(slots=True)
class Notes:
    """Decides when a text is worth a write; pure."""

    _written: str = ""
    _seen: str = ""
    _due_s: float = 0.0

    def due(self, text: str, now_s: float) -> bool:
        """Whether the text is new, and has not changed for STEADY_S; once more each AGAIN_S until it is written."""
        if text != self._seen:
            self._seen, self._due_s = text, now_s + STEADY_S
        if text == self._written or now_s < self._due_s:
            return False
        self._due_s = now_s + AGAIN_S
        return True

    def written(self, text: str) -> None:
        """It stands on the card."""
        self._written = text


def look(board: Board, agent_run: Path) -> tuple[str, list[Condition]]:
    """The trap's name, and the condition of each part."""
    card, _ = read_folder(board.card)
    name = str(card.settings.get("trap", own_name(board.root)))
    ssid = card.wifi.ssid if card.wifi and board.is_whole else None
    wifi = of_wifi(ssid, *(_wpa(word) for word in ("status", "list_networks"))) if ssid else None
    parts = [
        of_card(card),
        wifi,
        of_delivery(*_said(agent_run / LINK_FILE)),
        of_pictures(*_said(agent_run / PICTURES_FILE)),
    ]
    return name, [part for part in parts if part]


def watch(board: Board, agent_run: Path, monotonic_s: Callable[[], float], stop: threading.Event) -> None:
    """Look again and again until stopped; `agent_run` is where the agent says how it fares."""
    folder = find_light(board.root)
    light = Light(folder) if folder else None
    if light:
        light.start()
    notes = Notes()
    while not stop.is_set():
        name, parts = look(board, agent_run)
        if light:
            light.code = shown(parts)
        _tell(board, parts)
        text = status_text(name, version("zancudo"), parts)
        if notes.due(text, monotonic_s()) and write_status(board.card, text):
            notes.written(text)
            log.info("told on the card", code=int(shown(parts)))
        stop.wait(EVERY_S)


def _tell(board: Board, parts: Sequence[Condition]) -> None:
    """For whoever looks from within: /run/zancudo/condition.json, replaced at once."""
    draft = board.root / RUN / "condition.part"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(json.dumps({"code": int(shown(parts)), "parts": [part.words for part in parts]}))
    draft.replace(draft.with_suffix(".json"))


def _said(file: Path) -> tuple[str, str]:
    """State and reason as the agent last said them; empty when it said nothing."""
    try:
        said = json.loads(file.read_bytes())
        return str(said["state"]), str(said["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def _wpa(word: str) -> str:
    """What wpa_cli says; nothing where there is no Wi-Fi."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["wpa_cli", "-p", "/run/wpa_supplicant", word],
            env=environment, capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
