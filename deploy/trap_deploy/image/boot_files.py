"""The boot partition as a folder: firmware, kernel, device trees, and the files that people edit."""

import shutil
from pathlib import Path

from trap_contract.errors import ConfigError

_FIRMWARE = ("bootcode.bin", "start*.elf", "fixup*.dat")
_TREES = ("bcm2710*.dtb", "bcm2711*.dtb", "bcm2712*.dtb", "bcm2837*.dtb")


def collect(root: Path, own: Path, target: Path) -> str:
    """Fill the folder from a system and from deploy/image/boot; the kernel's version. Raises ConfigError."""
    target.mkdir(parents=True)
    version = _kernel(root)
    shutil.copy(root / "boot" / f"vmlinuz-{version}", target / "vmlinuz")
    shutil.copy(root / "boot" / f"initrd.img-{version}", target / "initrd.img")
    for pattern in _FIRMWARE:
        _copy_all(root / "usr/lib/raspi-firmware", pattern, target)
    places = (root / "usr/lib/modules" / version / "dtb/broadcom", root / f"usr/lib/linux-image-{version}/broadcom")
    trees = next((place for place in places if place.is_dir()), None)
    if trees is None:
        raise ConfigError(f"kernel {version} brings no device trees: which package has them now?")
    for pattern in _TREES:
        _copy_all(trees, pattern, target)
    for file in own.iterdir():
        shutil.copy(file, target / file.name)
    return version


def collect_as_installed(root: Path, own: list[Path], target: Path) -> None:
    """What Raspberry Pi's packages put into /boot/firmware, and over it our files, the later folders last."""
    shutil.copytree(root / "boot/firmware", target)
    for folder in own:
        shutil.copytree(folder, target, dirs_exist_ok=True)


def _kernel(root: Path) -> str:
    found = sorted(root.glob("boot/vmlinuz-*"))
    if len(found) != 1:
        raise ConfigError(f"the base has {len(found)} kernels, one is wanted: see deploy/image/base.toml")
    return found[0].name.removeprefix("vmlinuz-")


def _copy_all(folder: Path, pattern: str, target: Path) -> None:
    for file in folder.glob(pattern):
        shutil.copy(file, target / file.name)
