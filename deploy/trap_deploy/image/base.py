"""The Debian base: one tar archive for each package list, made by mmdebstrap and kept."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from trap_contract.errors import ConfigError

from trap_deploy.image.mirrors import Mirrors

ARCHITECTURE = "arm64"
_RECIPE = "1"
"""Goes into the key of the cache: raise it when the command below changes what it makes."""


@dataclass(frozen=True, slots=True)
class Base:
    """What deploy/image/base.toml asks Debian for."""

    suite: str
    suites: list[str]
    components: list[str]
    backports: list[str]
    packages: list[str]
    exclude: list[str]
    further: str = ""
    """Component of an archive that is not Debian's; empty where none is needed."""

    @classmethod
    def read(cls, file: Path) -> Self:
        """Raises ConfigError naming the file when a key is missing or unknown."""
        try:
            return cls(**tomllib.loads(file.read_text()))
        except (TypeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{file}: {error}") from error

    @property
    def key(self) -> str:
        """Names the archive: changes when what would be installed changes."""
        return hashlib.sha256(f"{_RECIPE} {self}".encode()).hexdigest()[:16]

    @property
    def preferences(self) -> str:
        """The apt preferences that take from backports what is listed, and nothing else."""
        if not self.backports:
            return ""
        listed = " ".join(self.backports)
        return f"Package: {listed}\nPin: release n={self.suite}-backports\nPin-Priority: 900\n"

    def command(self, preferences: Path, sources: Path, archive: Path) -> list[str]:
        """How mmdebstrap is called."""
        options = [f"path-exclude={pattern}" for pattern in self.exclude] + ["path-include=/usr/share/doc/*/copyright"]
        return [
            "mmdebstrap",
            f"--architectures={ARCHITECTURE}",
            "--variant=minbase",
            "--format=tar",
            f"--include={','.join(self.packages)}",
            *(f"--dpkgopt={option}" for option in options),
            "--aptopt=Apt::Install-Recommends false",
            f"--setup-hook=copy-in {preferences} /etc/apt/preferences.d",
            self.suite,
            str(archive),
            str(sources),
        ]


def make_base(base: Base, mirrors: Mirrors, cache: Path) -> Path:
    """The base's archive from the cache, made first if it is not there.

    Raises ConfigError when mmdebstrap or the emulation of arm64 is missing, or mmdebstrap fails.
    """
    archive = cache / f"base-{base.key}.tar"
    if archive.exists():
        return archive
    _check_tools()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        preferences, sources = Path(folder, "backports.pref"), Path(folder, "sources.list")
        preferences.write_text(base.preferences)
        sources.write_text(mirrors.sources(base.suites, base.components) + _further(base, mirrors))
        made = Path(folder, "base.tar")
        print(f"making the Debian base {archive.name}: some 15 minutes, once for each package list", flush=True)
        if subprocess.run(base.command(preferences, sources, made), check=False).returncode:
            raise ConfigError("mmdebstrap failed: its last lines say why; is the mirror reachable?")
        made.replace(archive)
    return archive


def _further(base: Base, mirrors: Mirrors) -> str:
    if not base.further:
        return ""
    if mirrors.further is None:
        raise ConfigError("this flavour needs Raspberry Pi's archive: give --further-mirror, and install its key")
    return f"deb {mirrors.further.rstrip('/')} {base.suite} {base.further}\n"


def _check_tools() -> None:
    if os.geteuid() != 0:
        raise ConfigError("a base is made by root, whose files it holds: run make image with sudo")
    if not shutil.which("mmdebstrap"):
        raise ConfigError("mmdebstrap is missing: sudo apt-get install mmdebstrap qemu-user-static arch-test")
    if shutil.which("arch-test") and subprocess.run(["arch-test", ARCHITECTURE], check=False).returncode:
        raise ConfigError(
            f"programs for {ARCHITECTURE} do not run here: install qemu-user-static and binfmt-support, and see that "
            "/proc/sys/fs/binfmt_misc is mounted (mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc)"
        )
