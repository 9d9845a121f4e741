"""An image on this computer: unpacked where it must be, looked at before anything is written, and changed in place."""

import hashlib
import lzma
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trap_contract.errors import ConfigError

from trap_deploy.flash.identity import Identity

_PIECE = 4 * 1024 * 1024
_SECTOR = 512
_FAT32_LBA = 0x0C
_LABEL = b"TRAPBOOT"
_FURTHEST = 1024 * 1024 * 1024

OnBytes = Callable[[int], None]
"""Told how many bytes more were done."""


@dataclass(frozen=True, slots=True)
class Table:
    """What the partition table says: where the boot partition begins, and where the last one ends, in bytes."""

    boot_start: int
    end: int


def read_table(head: bytes, boot_sector: bytes, place: str) -> Table:
    """Read a master boot record, and the first sector of the partition it names. Raises ConfigError for another card.

    Fields by the FAT specification and the classic partition table: 4 entries of 16 bytes at 446.
    """
    if len(head) < _SECTOR or head[510:512] != b"\x55\xaa":
        raise ConfigError(f"{place}: has no partition table: this is no trap's card or image")
    entries = [struct.unpack_from("<B3xB3xII", head, 446 + 16 * number) for number in range(4)]
    used = [(kind, start, size) for _, kind, start, size in entries if size]
    if not used or used[0][0] != _FAT32_LBA or boot_sector[71:82].rstrip() != _LABEL:
        raise ConfigError(f"{place}: its first partition is not {_LABEL.decode()}: this is no trap's card or image")
    return Table(used[0][1] * _SECTOR, max(start + size for _, start, size in used) * _SECTOR)


def table_of(stream: BinaryIO, place: str) -> Table:
    """The table of an image or card that is read from its beginning. Raises ConfigError when it is another one."""
    head = stream.read(_SECTOR)
    start = struct.unpack_from("<I", head, 454)[0] * _SECTOR if len(head) == _SECTOR else 0
    if not _SECTOR <= start <= _FURTHEST:
        raise ConfigError(f"{place}: has no boot partition where a trap's card has it: this is another card or image")
    stream.seek(start)
    return read_table(head, stream.read(_SECTOR), place)


def check_image(path: Path) -> Table:
    """The table of an image. Raises ConfigError when it is another one, or cut short."""
    with opened(path) as stream:
        table = table_of(stream, str(path))
    if path.suffix != ".xz" and path.stat().st_size < table.end:
        raise ConfigError(f"{path}: is cut short: {path.stat().st_size} of {table.end} bytes: download it again")
    return table


@contextmanager
def opened(source: Path) -> Iterator[BinaryIO]:
    """The unpacked bytes of an image, .xz or not. Raises ConfigError for one that is damaged or not there."""
    try:
        with lzma.open(source) if source.suffix == ".xz" else source.open("rb") as stream:
            yield stream  # type: ignore[misc]
    except (EOFError, lzma.LZMAError) as error:
        raise ConfigError(f"{source}: is damaged or cut short ({error}): download it again") from error
    except FileNotFoundError as error:
        raise ConfigError(f"{source}: no such image: make image builds one") from error


def unpack(source: Path, target: Path, told: OnBytes) -> None:
    """An image that may be changed. Raises ConfigError."""
    with opened(source) as stream, target.open("wb") as out:
        while piece := stream.read(_PIECE):
            out.seek(len(piece), os.SEEK_CUR) if piece.count(0) == len(piece) else out.write(piece)
            told(len(piece))
        out.truncate(out.tell())


def personalise(place: Path, identity: Identity) -> None:
    """Write identity files onto the boot partition: of a folder where it is mounted, an image or a card.

    Raises ConfigError.
    """
    if place.is_dir():
        _into_folder(place, identity)
        return
    with place.open("rb") as stream:
        start = table_of(stream, str(place)).boot_start
    if not shutil.which("mcopy"):
        raise ConfigError("mcopy is missing: sudo apt-get install mtools")
    for name, data in identity.files.items():
        command = ["mcopy", "-o", "-i", f"{place}@@{start}", "-", f"::{name}"]
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        if done.returncode:
            raise ConfigError(f"{place}: {name} can't be written: {done.stderr.decode(errors='replace').strip()}")


def _into_folder(folder: Path, identity: Identity) -> None:
    if not (folder / "cmdline.txt").exists() or not (folder / "vmlinuz").exists():
        raise ConfigError(f"{folder}: is not the boot partition of a trap's card: its name is TRAPBOOT")
    for name, data in identity.files.items():
        draft = folder / f"{name}.new"
        draft.write_bytes(data)
        draft.replace(folder / name)
    os.sync()


def check_sum(source: Path) -> None:
    """Hold an image against the .sha256 beside it, if there is one. Raises ConfigError."""
    beside = source.with_name(source.name + ".sha256")
    if not beside.exists():
        return
    digest = hashlib.sha256()
    with source.open("rb") as packed:
        while piece := packed.read(_PIECE):
            digest.update(piece)
    if beside.read_text().split()[:1] != [digest.hexdigest()]:
        raise ConfigError(f"{source}: is not what {beside.name} says: download both again")
