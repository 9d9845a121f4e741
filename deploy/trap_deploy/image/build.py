"""`make image`: from a package list and this repository to a card image, in one pass."""

import shutil
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from trap_contract.errors import ConfigError

from trap_deploy.image.artefacts import Digest, imager_manifest, pack
from trap_deploy.image.base import Base, make_base
from trap_deploy.image.boot_files import collect, collect_as_installed
from trap_deploy.image.contents import Package, as_list, as_sbom, parse_status, python_packages
from trap_deploy.image.filesystems import assemble, make_ext4, make_fat, remove_tree
from trap_deploy.image.layout import Layout
from trap_deploy.image.mirrors import Mirrors
from trap_deploy.image.rootfs import SITE_PACKAGES, Tree, install_agent, lay_over, unpack

MOST_ROOT_BYTES = 1_200_000_000
MOST_PACKED_BYTES = 400_000_000
_TOOLS = ("tar", "mke2fs", "mkfs.vfat", "mcopy", "sfdisk", "bmaptool", "systemctl", "chroot")


@dataclass(slots=True)
class Steps:
    """Says what is done and how long it took."""

    total: int
    done: int = 0
    _since_s: float = 0.0

    def begin(self, what: str) -> None:
        """The next step."""
        self.end()
        self.done += 1
        self._since_s = time.monotonic()
        print(f"[{self.done}/{self.total}] {what}", end=" ", flush=True)

    def end(self) -> None:
        """The step is over."""
        if self.done and self._since_s:
            print(f"{time.monotonic() - self._since_s:.1f} s", flush=True)
        self._since_s = 0.0


def build_image(repository: Path, out: Path, cache: Path, mirrors: Mirrors, *, flavour: str) -> Path:
    """Make the image and everything beside it; the packed image. Raises ConfigError."""
    _check_tools()
    steps, epoch = Steps(6), _epoch(repository)
    work = cache / "work"
    tree = Tree(repository, cache, work / "root")
    is_csi, layout = flavour == "csi", Layout()
    archive = make_base(Base.read(tree.deploy / "image" / ("base-csi.toml" if is_csi else "base.toml")), mirrors, cache)
    steps.begin("unpack the base")
    unpack(archive, tree.root)
    steps.begin("install the agent")
    install_agent(tree, archive)
    steps.begin("lay the overlay over it")
    lay_over(tree, epoch, has_system_packages=is_csi)
    packages = parse_status((tree.root / "var/lib/dpkg/status").read_text())
    packages += python_packages(tree.root / SITE_PACKAGES)
    steps.begin("make three file systems")
    image = out / f"zancudo-trap-{version('zancudo')}-arm64{'-csi' if is_csi else ''}.img"
    _write(tree, image, layout, is_csi=is_csi)
    steps.begin("pack")
    packed = pack(image, cache / f"packed-{flavour}")
    steps.begin("describe")
    _describe(image, packed, packages, epoch)
    steps.end()
    remove_tree(work)
    _check_sizes(packed)
    return packed


def _write(tree: Tree, image: Path, layout: Layout, *, is_csi: bool) -> None:
    """Take the system apart into the partitions' folders, and make file systems of them."""
    work, parts = tree.root.parent, layout.partitions
    for name in ("boot-files", "var"):
        remove_tree(work / name)
    own = tree.deploy / "image" / "boot"
    if is_csi:
        collect_as_installed(tree.root, [own, own.with_name("boot-csi")], work / "boot-files")
    else:
        collect(tree.root, own, work / "boot-files")
    for path in (tree.root / "boot").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (tree.root / "boot/firmware").mkdir()
    (tree.root / "var").rename(work / "var")
    (tree.root / "var").mkdir()
    _check_root(tree.root)
    files = [work / f"{part.label}.img" for part in parts]
    make_fat(files[0], parts[0], work / "boot-files")
    make_ext4(files[1], parts[1], tree.root)
    make_ext4(files[2], parts[2], work / "var")
    image.parent.mkdir(parents=True, exist_ok=True)
    assemble(image, layout, files)


def _describe(image: Path, packed: Path, packages: list[Package], epoch: int) -> None:
    release, digest = version("zancudo"), Digest.of(image)
    image.with_suffix(".packages").write_text(as_list(packages))
    image.with_suffix(".cdx.json").write_text(as_sbom(packages, "zancudo-trap", release))
    image.with_suffix(".rpi-imager-manifest").write_text(imager_manifest(packed, digest, release, epoch))


def _check_tools() -> None:
    missing = [tool for tool in _TOOLS if not shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/bin")]
    if missing:
        raise ConfigError(f"missing: {', '.join(missing)}: docs/image.md names the packages that make an image")


def _check_root(root: Path) -> None:
    done = subprocess.run(["du", "-sbx", str(root)], capture_output=True, text=True, check=True)
    if (size := int(done.stdout.split()[0])) > MOST_ROOT_BYTES:
        raise ConfigError(f"the system is {size / 1e6:.0f} MB, more than {MOST_ROOT_BYTES / 1e6:.0f}: what grew?")
    print(f"(system {size / 1e6:.0f} MB)", end=" ")


def _check_sizes(packed: Path) -> None:
    size = packed.stat().st_size
    if size > MOST_PACKED_BYTES:
        raise ConfigError(f"{packed} is {size / 1e6:.0f} MB, more than {MOST_PACKED_BYTES / 1e6:.0f}: what grew?")
    print(f"{packed}: {size / 1e6:.0f} MB")


def _epoch(repository: Path) -> int:
    """When the code was committed: the floor of the trap's clock; now, where git can't say."""
    command = ["git", "-C", str(repository), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else int(time.time())
