"""Make .venv ready for one purpose, with nothing but Python's standard library.

`prepare.py demo` installs the trap agent and the collector, `prepare.py all` everything for development. What is
missing on the system (the venv module, mosquitto, for `all` chromium too) is installed with apt where that is possible.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PURPOSES = {
    "demo": ["-e", ".[agent,server]"],
    "all": ["-e", ".[agent,onnx,openvino,server,postgres,parquet,export,training]", "--group", "dev"],
}


class PrepareError(Exception):
    """Something is missing that could not be installed."""


def main(purpose: str) -> None:
    """Bring .venv up to date for a purpose; does nothing when it is."""
    if sys.version_info < (3, 11):
        raise PrepareError(f"Python {sys.version.split()[0]} is too old: zancudo needs 3.11 or newer")
    ensure_mosquitto()
    if purpose == "all":
        ensure_chromium()
    stamp, state = VENV / f".ready-{purpose}", _state(purpose)
    if stamp.exists() and stamp.read_text() == state:
        return
    ensure_venv()
    _run([str(VENV / "bin/uv"), "pip", "install", "--quiet", "-c", "constraints.txt", *PURPOSES[purpose]])
    stamp.write_text(state)


def ensure_mosquitto() -> None:
    """The broker, from the system's packages."""
    if not find_mosquitto():
        _apt_install("mosquitto")


def ensure_chromium() -> None:
    """The browser of the pages' tests, from the system's packages; where it can't be had, those tests are skipped."""
    if shutil.which("chromium") is None:
        try:
            _apt_install("chromium")
        except PrepareError as error:
            print(f"without a browser the pages' tests are skipped: {error}", flush=True)


def find_mosquitto() -> str | None:
    """Path of the broker; Debian puts it where an ordinary user's PATH does not look."""
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def ensure_venv() -> None:
    """A virtual environment with uv inside."""
    if not (VENV / "bin/python").exists():
        try:
            import ensurepip  # noqa: F401
        except ImportError:
            _apt_install("python3-venv")
        _run([sys.executable, "-m", "venv", str(VENV)])
    if not (VENV / "bin/uv").exists():
        version = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("uv=="))
        _run([str(VENV / "bin/python"), "-m", "pip", "install", "--quiet", version])


def _apt_install(package: str) -> None:
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    by_hand = f"{package} is missing: install it with `sudo apt-get install {package}` and try again"
    if not shutil.which("apt-get") or (rights and not shutil.which("sudo")):
        raise PrepareError(by_hand)
    print(f"installing {package} from the system's packages", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", package]):
        done = subprocess.run([*rights, "apt-get", *step], env=environment, check=False, stdout=subprocess.DEVNULL)
        if done.returncode:
            raise PrepareError(by_hand)


def _run(command: list[str]) -> None:
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise PrepareError(f"this command failed: {' '.join(command)}")


def _state(purpose: str) -> str:
    """Changes when what is to be installed changes."""
    digest = hashlib.sha256(purpose.encode())
    for name in ("pyproject.toml", "constraints.txt", "hatch_build.py", "server/trap_server/static/vendor.json"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except PrepareError as error:
        sys.exit(f"error: {error}")
