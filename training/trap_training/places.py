"""Where commands write."""

from pathlib import Path

from trap_contract.errors import ConfigError


def new_folder(out: Path) -> None:
    """Make a folder that may exist already if it is empty.

    Raises ConfigError when there is something in it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: exists and is not an empty folder: give another --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
