"""Pictures of the running page, for the documents."""

import shutil
import subprocess
from pathlib import Path

from trap_contract.errors import ConfigError

SETTLED_MS = 8000
"""The page keeps its event stream open, so Chromium never sees it finish loading and is told when to look."""


def take_picture(address: str, file: Path, width: int = 1280, height: int = 720) -> None:
    """Write a PNG of a page, by headless Chromium.

    Raises ConfigError when there is no Chromium.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        raise ConfigError("chromium is missing: install it with `sudo apt-get install chromium`")
    flags = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={width},{height}"]
    flags += [f"--timeout={SETTLED_MS}", f"--screenshot={file.resolve()}"]
    subprocess.run([chromium, *flags, address], check=True, capture_output=True)
