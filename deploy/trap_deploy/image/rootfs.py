"""The card's system as a folder: the base unpacked, and over it the agent and the files of deploy/."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from trap_contract.errors import ConfigError

from trap_deploy.image import wheels
from trap_deploy.image.filesystems import remove_tree, run

SITE_PACKAGES = f"opt/zancudo/lib/python{wheels.PYTHON}/site-packages"
FACTORY = "opt/zancudo/share/factory.tflite"
_ROOMS_ON_A_TRAP = {"trap_agent", "trap_contract", "trap_scene"}
_SCRUBBED = (
    "etc/machine-id", "etc/ssh/ssh_host_*", "etc/*-", "var/lib/dbus/machine-id",
    "var/lib/apt/lists/*", "var/cache/apt/*", "var/cache/debconf/*-old", "var/lib/dpkg/*-old", "var/log/*",
    "var/lib/systemd/random-seed", "tmp/*", "root/.[a-z]*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tree:
    """Where the repository is, where things are kept between builds, and the folder that becomes the card."""

    repository: Path
    cache: Path
    root: Path

    @property
    def deploy(self) -> Path:
        """The files of this room."""
        return self.repository / "deploy"


def unpack(archive: Path, root: Path) -> None:
    """The base as a folder, owners and devices included."""
    remove_tree(root)
    root.mkdir(parents=True)
    run(["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-f", archive, "-C", root])


def lay_over(tree: Tree, epoch: int, *, has_system_packages: bool = False) -> None:
    """Put the overlay over the base, decide what starts by itself, and take out what must not be on two traps."""
    shutil.copytree(tree.deploy / "image" / "rootfs", tree.root, symlinks=True, dirs_exist_ok=True)
    (tree.root / "opt/zancudo/bin/python3").symlink_to("/usr/bin/python3")
    if has_system_packages:  # Picamera2 exists as a package of the system only
        config = tree.root / "opt/zancudo/pyvenv.cfg"
        config.write_text(config.read_text().replace("site-packages = false", "site-packages = true"))
    for unit in (tree.deploy / "systemd").glob("*.service"):
        shutil.copy(unit, tree.root / "etc/systemd/system" / unit.name)
    factory = tree.root / FACTORY
    factory.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(tree.repository / "models" / "yolov8n_kd.tflite", factory)
    run(["systemctl", f"--root={tree.root}", "preset-all"])
    _scrub(tree.root)
    floor = tree.root / "usr/lib/clock-epoch"
    floor.touch()
    os.utime(floor, (epoch, epoch))


def install_agent(tree: Tree, archive: Path) -> None:
    """Wheels for the trap's processor, compiled to bytecode there, for nobody can write them on the card."""
    pinned = _requirements(tree)
    (tree.root / "opt/zancudo").mkdir(parents=True, exist_ok=True)
    kept = tree.cache / f"agent-{wheels.key(pinned, archive.name)}"
    target = tree.root / SITE_PACKAGES
    target.parent.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        wheels.install(pinned.split(), target, with_needs=False)
        for unneeded in (target / "bin", *target.glob("numpy/**/tests")):
            shutil.rmtree(unneeded, ignore_errors=True)
        _compile(tree.root, f"/{SITE_PACKAGES}")
        shutil.copytree(target, kept.with_suffix(".part"), symlinks=True)
        kept.with_suffix(".part").replace(kept)
    else:
        shutil.copytree(kept, target, symlinks=True, dirs_exist_ok=True)
    _install_own(tree, target)


def _requirements(tree: Tree) -> str:
    """Asked of the package index once for each state of what they follow from."""
    sources = [(tree.repository / name).read_text() for name in ("pyproject.toml", "constraints.txt")]
    kept = tree.cache / f"requirements-{wheels.key(*sources, wheels.PLATFORM, wheels.PYTHON)}.txt"
    if not kept.exists():
        aside = kept.with_suffix(".part")
        aside.write_text(wheels.requirements(tree.repository))
        aside.replace(kept)
    return kept.read_text()


def _install_own(tree: Tree, target: Path) -> None:
    built = tree.cache / "wheel"
    remove_tree(built)
    wheel = wheels.build_wheel(tree.repository, built)
    wheels.install([str(wheel)], target, with_needs=False)
    shutil.rmtree(target / "bin", ignore_errors=True)
    for room in target.glob("trap_*"):
        if room.name not in _ROOMS_ON_A_TRAP:
            shutil.rmtree(room)
    _compile(tree.root, *(f"/{SITE_PACKAGES}/{room}" for room in sorted(_ROOMS_ON_A_TRAP)))


def _compile(root: Path, *folders: str) -> None:
    """To bytecode, by the same version of Python on this machine or else by the trap's own, emulated."""
    own = shutil.which(f"python{wheels.PYTHON}", path="/usr/bin:/usr/local/bin:" + os.environ.get("PATH", ""))
    works = own and subprocess.run([own, "-c", ""], capture_output=True, check=False).returncode == 0
    start = [str(own), "-m"] if works else ["chroot", str(root), "/usr/bin/python3", "-m"]
    places = [f"{root}{folder}" for folder in folders] if works else list(folders)
    options = [
        "-q",
        "-j",
        "2",
        "--invalidation-mode",
        "unchecked-hash",
        *(["-s", str(root), "-p", "/"] if works else []),
    ]
    done = subprocess.run([*start, "compileall", *options, *places], capture_output=True, text=True, check=False)
    compiled = any((root / folder.lstrip("/")).rglob("*.pyc") for folder in folders)
    if done.returncode not in (0, 1) or not compiled:  # 1: a file that is no Python of this version, as a template is
        raise ConfigError(f"the trap's Python does not run here: {done.stderr.strip()[-300:]}: see docs/image.md")


def _scrub(root: Path) -> None:
    for pattern in _SCRUBBED:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (root / "etc/machine-id").write_text("")  # made at every boot
    (root / "etc/resolv.conf").unlink(missing_ok=True)  # a link into /run, which a glob takes for absent
    (root / "etc/resolv.conf").symlink_to("/run/systemd/resolve/stub-resolv.conf")
    (root / "var/lib/apt/lists/partial").mkdir(parents=True, exist_ok=True)
