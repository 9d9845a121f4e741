"""File systems made from folders: nothing is mounted, and no loop device is needed."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from trap_contract.errors import ConfigError

from trap_deploy.image.layout import MIB, Layout, Partition

_UUID = "6d2b1b1e-0000-4000-8000-{:012d}"
_VOLUME = "7A7A0001"
_FEATURES = "^metadata_csum_seed,^orphan_file"  # what an older e2fsprogs can't mount
_HOLE = 4 * 1024 * 1024


def run(command: Sequence[str | Path], **options: str) -> None:
    """Run a tool. Raises ConfigError with its last words, or saying that it is missing."""
    try:
        subprocess.run([str(word) for word in command], check=True, text=True, capture_output=True, **options)  # type: ignore[call-overload]
    except FileNotFoundError as error:
        raise ConfigError(f"{command[0]} is missing: see docs/image.md for the packages that make an image") from error
    except subprocess.CalledProcessError as error:
        raise ConfigError(f"{command[0]} failed: {(error.stderr or error.stdout).strip()[-500:]}") from error


def make_ext4(file: Path, partition: Partition, folder: Path) -> None:
    """An ext4 file system with a folder's content. Raises ConfigError when it does not fit."""
    reserved = "1" if partition.label == "trap-var" else "0"
    words = f"mke2fs -q -F -t ext4 -L {partition.label} -U {_UUID.format(partition.number)} -O {_FEATURES}"
    run(
        [
            *words.split(),
            "-m",
            reserved,
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0",
            "-d",
            folder,
            file,
            f"{partition.size}M",
        ]
    )


def make_fat(file: Path, partition: Partition, folder: Path) -> None:
    """A FAT32 file system with a folder's content."""
    with file.open("wb") as empty:
        empty.truncate(partition.size * MIB)
    run(["mkfs.vfat", "-F", "32", "-n", partition.label, "-i", _VOLUME, "--invariant", file])
    run(["mcopy", "-s", "-m", "-i", file, *sorted(folder.iterdir()), "::"])


def assemble(image: Path, layout: Layout, files: Sequence[Path]) -> None:
    """Put the partitions' files into one image, which stays sparse."""
    with image.open("wb") as empty:
        empty.truncate(layout.size * MIB)
    run(["sfdisk", "--quiet", image], input=layout.script)
    with image.open("r+b") as out:
        for partition, file in zip(layout.partitions, files, strict=True):
            _copy_sparse(file, out.fileno(), partition.start * MIB)


def _copy_sparse(file: Path, out: int, offset: int) -> None:
    """Blocks of zeros are not written."""
    with file.open("rb") as source:
        while block := source.read(_HOLE):
            if block.count(0) != len(block):
                os.pwrite(out, block, offset)
            offset += len(block)


def copy_sparse(source: Path, target: Path) -> None:
    """A copy whose holes take no space."""
    run(["cp", "--sparse=always", source, target])


def extract_partition(image: Path, partition: Partition, target: Path) -> None:
    """One partition of an image as a file."""
    with image.open("rb") as source, target.open("wb") as out:
        source.seek(partition.start * MIB)
        left = partition.size * MIB
        while left:
            block = source.read(min(_HOLE, left))
            out.seek(len(block), os.SEEK_CUR) if block.count(0) == len(block) else out.write(block)
            left -= len(block)
        out.truncate(partition.size * MIB)


def remove_tree(folder: Path) -> None:
    """Take a folder away, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)
