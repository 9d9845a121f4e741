"""The agent for the trap's processor: wheels, installed without running anything of theirs."""

import hashlib
import subprocess
import sys
import sysconfig
from pathlib import Path

from trap_contract.errors import ConfigError

from trap_deploy.image.filesystems import run

PLATFORM = "aarch64-manylinux_2_36"
PYTHON = "3.13"
EXTRA = "agent"


def build_wheel(root: Path, folder: Path) -> Path:
    """The wheel of this repository. Raises ConfigError when it can't be built."""
    run([_uv(), "build", "--quiet", "--wheel", "--out-dir", folder, root])
    return next(folder.glob("zancudo-*.whl"))


def requirements(root: Path) -> str:
    """What the agent needs, every version pinned: the constraints as they hold for the trap's Python and processor."""
    command = [_uv(), "pip", "compile", "--quiet", "--extra", EXTRA, "-c", str(root / "constraints.txt")]
    command += ["--python-version", PYTHON, "--python-platform", PLATFORM, "--no-header", "--no-annotate"]
    command += ["--no-emit-index-url", str(root / "pyproject.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"no wheels for the trap: {done.stderr.strip()[-500:]}")
    return done.stdout


def install(wheels: list[str], target: Path, *, with_needs: bool) -> None:
    """Unpack wheels for the trap into a folder."""
    rest = [] if with_needs else ["--no-deps"]
    words = f"pip install --quiet --python-platform {PLATFORM} --python-version {PYTHON} --only-binary :all:"
    run([_uv(), *words.split(), "--link-mode", "copy", "--target", target, *rest, *wheels])


def key(*parts: str) -> str:
    """Names what is kept: changes when a part does."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _uv() -> str:
    beside = Path(sysconfig.get_path("scripts"), "uv")
    return str(beside if beside.exists() else Path(sys.executable).with_name("uv"))
