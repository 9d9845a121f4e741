"""What is laid beside an image: its packed form, sums, block map, contents, and a manifest for Raspberry Pi Imager."""

import hashlib
import json
import lzma
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trap_deploy.image.filesystems import run

PIECE = 8 * 1024 * 1024
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": PIECE}]  # as small as -2, in half the time
DEVICES = ("pi5-64bit", "pi4-64bit", "pi3-64bit")


@dataclass(frozen=True, slots=True)
class Digest:
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str

    @classmethod
    def of(cls, file: Path) -> "Digest":
        """Read the file once."""
        digest, size = hashlib.sha256(), 0
        with file.open("rb") as source:
            while piece := source.read(PIECE):
                digest.update(piece)
                size += len(piece)
        return cls(size, digest.hexdigest())


def pack(image: Path, kept: Path) -> Path:
    """Make IMAGE.xz and IMAGE.bmap, and IMAGE.xz.sha256."""
    packed = image.with_name(image.name + ".xz")
    run(["bmaptool", "create", "-o", image.with_suffix(".bmap"), image])
    pack_pieces(image, packed, kept)
    packed.with_name(packed.name + ".sha256").write_text(f"{Digest.of(packed).sha256}  {packed.name}\n")
    return packed


def pack_pieces(image: Path, packed: Path, kept: Path) -> None:
    """Write `packed`, an .xz file of one stream for each PIECE bytes (The .xz File Format 1.2.1, 2.2).

    A piece is packed only once: the folder `kept` holds those of the last image, of which the next one changes few.
    """
    kept.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        files = list(pool.map(lambda at: _packed_piece(image, at, kept), range(0, image.stat().st_size, PIECE)))
    with packed.open("wb") as out:
        for file in files:
            out.write(file.read_bytes())
    for old in set(kept.iterdir()) - set(files):
        old.unlink()


def _packed_piece(image: Path, offset: int, kept: Path) -> Path:
    """The file in `kept` that is the piece packed."""
    with image.open("rb") as source:
        source.seek(offset)
        piece = source.read(PIECE)
    file = kept / hashlib.sha256(piece).hexdigest()
    if not file.exists():
        draft = file.with_suffix(f".{offset}")
        draft.write_bytes(lzma.compress(piece, filters=_FILTERS))
        draft.replace(file)
    return file


def imager_manifest(packed: Path, image: Digest, version: str, epoch: int) -> str:
    """What Raspberry Pi Imager 2 opens; it offers no settings of its own, for trap.toml has them."""
    download = Digest.of(packed)
    entry = {
        "name": f"zancudo trap {version}",
        "description": "Counts mosquitoes. After writing, edit trap.toml on the card, or run trap-flash personalise.",
        "url": packed.resolve().as_uri(),
        "release_date": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d"),
        "extract_size": image.size,
        "extract_sha256": image.sha256,
        "image_download_size": download.size,
        "image_download_sha256": download.sha256,
        "devices": list(DEVICES),
        "init_format": "none",
        "architecture": "armv8",
    }
    return json.dumps({"os_list": [entry]}, indent=2) + "\n"
