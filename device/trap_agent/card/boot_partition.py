"""The FAT partition of the card: read at boot, and written only to tell how things are."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from trap_contract.card import SECRETS, TRAP_FILE, Card, Fault, read_card
from trap_contract.logs import log

STATUS_FILE: Final = "trap-status.txt"


def read_folder(folder: Path) -> tuple[Card, dict[str, bytes]]:
    """The card in a folder, and its certificates by setting name; what is missing is a fault of the card."""
    try:
        data = (folder / TRAP_FILE).read_bytes()
    except OSError as error:
        return Card(faults=(Fault(1, f"{TRAP_FILE} can't be read: {error.strerror}"),)), {}
    card, beside, faults = read_card(data), dict[str, bytes](), list[Fault]()
    for name in SECRETS:
        if name in card.settings:
            try:
                beside[name] = (folder / str(card.settings[name])).read_bytes()
            except OSError as error:
                faults.append(Fault(1, f"{name}: {card.settings[name]} can't be read: {error.strerror}"))
    faults = [Fault(_line(data, fault), fault.text) for fault in faults]
    return Card(card.settings, card.wifi, card.network, card.ssh, tuple(sorted({*card.faults, *faults}))), beside


def write_status(folder: Path, text: str) -> bool:
    """Put the text into the card's status file if it says something else; whether it stands there now.

    A partition that is mounted read-only is opened for this one write. A card that can't be written is only logged:
    the light still tells.
    """
    file = folder / STATUS_FILE
    data = text.replace("\n", "\r\n").encode()
    try:
        if file.exists() and file.read_bytes() == data:
            return True
        with _writable(folder):
            draft = file.with_suffix(".new")
            draft.write_bytes(data)
            handle = os.open(draft, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
            draft.replace(file)
    except OSError as error:
        log.warning("the card can't be written", file=str(file), error=str(error))
        return False
    return True


def _line(data: bytes, fault: Fault) -> int:
    from trap_contract.toml_lines import line_of

    return line_of(data.decode(errors="replace"), fault.text.split(":")[0])


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Mounted read-only it is read-only again afterwards."""
    if not os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield
        return
    _remount(folder, "rw")
    try:
        yield
        os.sync()
    finally:
        _remount(folder, "ro")


def _remount(folder: Path, mode: str) -> None:
    """Raises OSError with what `mount` says.

    Without a record of it (-n) in /run/mount: that would be given an owner, which the unit may not do.
    """
    done = subprocess.run(
        ["mount", "-n", "-o", f"remount,{mode}", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OSError(done.stderr.strip() or f"mount ended with {done.returncode}")
