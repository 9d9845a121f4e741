"""`trap-card apply`: read the card and put what follows into /run. Starts from nothing at every boot."""

import os
import shutil
import socket
import ssl
import tempfile
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from trap_contract.broker import BrokerAddress, Tls
from trap_contract.card import Card, Fault
from trap_contract.errors import ConfigError
from trap_contract.logs import log
from trap_contract.toml_lines import line_of

from trap_agent.card.boot_partition import read_folder, write_status
from trap_agent.card.condition import of_card, status_text
from trap_agent.card.derive import RUN, TIME_SERVERS, Derived, derive

TRAP_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Board:
    """Where a card is applied: `card` is its folder; without `is_whole` only the agent's settings are."""

    card: Path
    root: Path = Path("/")
    is_whole: bool = True

    @property
    def run(self) -> Path:
        """What is derived from the card."""
        return self.root / RUN


def apply(board: Board) -> Card:
    """Derive everything from the card, and write back what is wrong with it."""
    card, beside = read_folder(board.card)
    card, beside = _usable(card, beside, board.card)
    derived = derive(card, beside, own_name(board.root), whole_board=board.is_whole)
    _write(board, derived)
    if board.is_whole:
        _set_hostname(derived.hostname)
    for fault in card.faults:
        log.error("trap.toml", line=fault.line, fault=fault.text)
    write_status(board.card, status_text(derived.hostname, version("zancudo"), [of_card(card)]))
    log.info("card applied", trap=derived.hostname, faults=len(card.faults))
    return card


def own_name(root: Path) -> str:
    """What a trap goes by until trap.toml names it: the end of the board's serial number, or of the machine's id."""
    for file in ("proc/device-tree/serial-number", "etc/machine-id"):
        try:
            found = (root / file).read_text().strip("\0\n ").lower()
        except OSError:
            continue
        if len(found) >= 6 and found[-6:].isalnum():
            return f"trap-{found[-6:]}"
    return "trap"


def _usable(card: Card, beside: dict[str, bytes], folder: Path) -> tuple[Card, dict[str, bytes]]:
    """Without a broker whose certificates don't fit: the trap then counts and keeps its windows."""
    fault = _broker_fault(card, beside)
    if fault is None:
        return card, beside
    text = (folder / "trap.toml").read_text(errors="replace")
    found = Fault(line_of(text, "broker"), fault)
    settings = {name: value for name, value in card.settings.items() if name != "broker"}
    return replace(card, settings=settings, faults=tuple(sorted({*card.faults, found}))), {}


def _broker_fault(card: Card, beside: dict[str, bytes]) -> str | None:
    url = card.settings.get("broker")
    if not isinstance(url, str):
        return None
    with tempfile.TemporaryDirectory() as scratch:
        paths = {name: Path(scratch, name) for name in beside if name != "trust"}
        for name, path in paths.items():
            path.touch(mode=TRAP_FILE_MODE)
            path.write_bytes(beside[name])
        try:
            BrokerAddress.parse(url, Tls(**paths)).tls_context()
        except (ConfigError, ssl.SSLError) as error:
            return f"broker: {str(error).replace(f'{scratch}/', '')}"
    return None


def _write(board: Board, derived: Derived) -> None:
    timesyncd = board.root / TIME_SERVERS
    shutil.rmtree(board.run, ignore_errors=True)
    timesyncd.unlink(missing_ok=True)
    board.run.mkdir(parents=True, mode=0o755)
    for name, data in derived.files.items():
        path = board.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, TRAP_FILE_MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    if timesyncd.exists():  # another user reads it
        timesyncd.parent.chmod(0o755)
        timesyncd.chmod(0o644)


def _set_hostname(name: str) -> None:
    try:
        socket.sethostname(name)
    except OSError as error:
        log.warning("the host can't be named", name=name, error=error.strerror)
