"""Writing only what holds something, by a block map (bmap 2.0), and reading it back."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trap_contract.errors import ConfigError

_RANGE = re.compile(r'<Range chksum="([0-9a-f]{64})">\s*(\d+)(?:-(\d+))?\s*</Range>')
_FIELD = re.compile(r"<(BlockSize|BlocksCount|ImageSize|BmapFileChecksum)>\s*([0-9a-f]+)\s*</")
_PIECE = 1024 * 1024

OnBytes = Callable[[int], None]
"""Told how many bytes more were done."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes that hold something: from `start`, `size` of them, and their SHA-256."""

    start: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BlockMap:
    """What of an image is worth writing, in order."""

    image_size: int
    stretches: tuple[Stretch, ...]

    @property
    def size(self) -> int:
        """Bytes to write."""
        return sum(one.size for one in self.stretches)


def parse_bmap(text: str, place: str) -> BlockMap:
    """Read a .bmap file. Raises ConfigError when it is altered, or not in order."""
    fields = dict(_FIELD.findall(text))
    try:
        block, size = int(fields["BlockSize"]), int(fields["ImageSize"])
        own = fields["BmapFileChecksum"]
    except KeyError as error:
        raise ConfigError(f"{place}: is no block map: {error} is missing: build or download the image again") from error
    if hashlib.sha256(text.replace(own, "0" * len(own)).encode()).hexdigest() != own:
        raise ConfigError(f"{place}: was altered or cut short: build or download it again")
    found, end = [], 0
    for digest, first, last in _RANGE.findall(text):
        start, stop = int(first) * block, min((int(last or first) + 1) * block, size)
        if not end <= start < stop:
            raise ConfigError(f"{place}: block {first} is out of order")
        found.append(Stretch(start, stop - start, digest))
        end = stop
    return BlockMap(size, tuple(found))


def write_blocks(source: BinaryIO, target: Path, blocks: BlockMap, told: OnBytes) -> None:
    """Write what the map lists. Raises ConfigError where the source is not what the map says."""
    with target.open("r+b", buffering=0) as out:
        for one in blocks.stretches:
            source.seek(one.start)
            out.seek(one.start)
            digest = hashlib.sha256()
            for piece in _pieces(source, one.size):
                digest.update(piece)
                out.write(piece)
                told(len(piece))
            if digest.hexdigest() != one.sha256:
                raise ConfigError(f"the image is damaged at byte {one.start}: download it again")
        os.fsync(out.fileno())


def verify_blocks(target: Path, blocks: BlockMap, told: OnBytes) -> None:
    """Read the card, not what this computer remembers of it. Raises ConfigError where it differs."""
    with target.open("rb", buffering=0) as card:
        os.posix_fadvise(card.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for one in blocks.stretches:
            card.seek(one.start)
            digest = hashlib.sha256()
            for piece in _pieces(card, one.size):
                digest.update(piece)
                told(len(piece))
            if digest.hexdigest() != one.sha256:
                raise ConfigError(f"{target}: does not hold what was written at byte {one.start}: take another card")


def _pieces(source: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        piece = source.read(min(_PIECE, size))
        if not piece:
            return
        yield piece
        size -= len(piece)
