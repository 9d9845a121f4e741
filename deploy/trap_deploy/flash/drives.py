"""Which drives of this machine are cards, and why the others are left alone; from what lsblk(8) says."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trap_contract.errors import ConfigError

_COLUMNS = "NAME,PATH,TYPE,SIZE,RM,HOTPLUG,RO,MODEL,TRAN,MOUNTPOINTS"
_SYSTEM = ("/", "/boot", "/usr", "/var", "/home", "/etc", "[SWAP]")
_LARGEST = 2_000_000_000_000


@dataclass(frozen=True, slots=True)
class Drive:
    """One whole drive; `mounts` has those of its partitions too. Size in bytes."""

    path: str
    size: int
    model: str
    transport: str
    is_removable: bool
    is_read_only: bool
    mounts: tuple[str, ...]

    @property
    def objection(self) -> str | None:
        """Why nothing may be written there; None for a card that is free."""
        if any(mount == place for mount in self.mounts for place in _SYSTEM):
            return "this computer runs from it"
        if not self.is_removable:
            return "it is built in, not a card"
        if self.is_read_only:
            return "it is write-protected: look at the slider on the card"
        if self.size == 0:
            return "no card is in it"
        if self.size > _LARGEST:
            return "it is larger than any card"
        if self.mounts:
            return f"it is in use at {', '.join(self.mounts)}: eject or unmount it first"
        return None


def parse_drives(listing: str) -> list[Drive]:
    """Drives out of `lsblk --json --bytes`. Raises ConfigError for what is not that."""
    try:
        found = json.loads(listing)["blockdevices"]
        return [_drive(one) for one in found if one["type"] == "disk" and not one["name"].startswith(("zram", "ram"))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError("lsblk says something that is not understood: its version may be too old") from error


def list_drives() -> list[Drive]:
    """The drives of this machine. Raises ConfigError where lsblk is missing."""
    command = ["lsblk", "--json", "--bytes", "--output", _COLUMNS]
    try:
        return parse_drives(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(f"lsblk does not run ({error}): use Raspberry Pi Imager with trap-flash --to-file") from error


def choose(drives: list[Drive], path: str, needed: int) -> Drive:
    """The drive at a path, if `needed` bytes may be written there. Raises ConfigError saying why not."""
    drive = next((one for one in drives if one.path == path), None)
    if drive is None:
        raise ConfigError(f"{path}: no such drive: trap-flash list shows the cards")
    if drive.objection:
        raise ConfigError(f"{path}: {drive.objection}")
    if drive.size < needed:
        raise ConfigError(f"{path}: too small: {drive.size / 1e9:.1f} GB, the image needs {needed / 1e9:.1f} GB")
    return drive


def _drive(one: dict[str, Any]) -> Drive:
    return Drive(
        path=str(one["path"]),
        size=int(one["size"] or 0),
        model=str(one.get("model") or "").strip(),
        transport=str(one.get("tran") or ""),
        is_removable=bool(one["rm"]) or bool(one.get("hotplug")),
        is_read_only=bool(one["ro"]),
        mounts=tuple(sorted(set(_mounts(one)))),
    )


def _mounts(one: dict[str, Any]) -> Iterator[str]:
    yield from (mount for mount in one.get("mountpoints") or () if mount)
    for child in one.get("children") or ():
        yield from _mounts(child)
