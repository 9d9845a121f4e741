"""The passphrase of the authority's key: from a file, the environment, or the person at the terminal; no default."""

import os
import sys
from pathlib import Path

import typer
from trap_contract.errors import ConfigError

from trap_server.fleet.private_files import read_private

VARIABLE = "TRAP_FLEET_PASSPHRASE"
SHORTEST = 12


def read_passphrase(file: Path | None, *, is_new: bool = False) -> str:
    """Find the passphrase; a new one is asked for twice. Raises ConfigError when there is none, or a short new one."""
    given = _from_file(file) if file else os.environ.get(VARIABLE, "") or _ask(is_new=is_new)
    if not given or (is_new and len(given) < SHORTEST):
        raise ConfigError(f"the passphrase is shorter than {SHORTEST} letters: give --passphrase-file or {VARIABLE}")
    return given


def _from_file(file: Path) -> str:
    try:
        return read_private(file, "passphrase").decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: the passphrase is not UTF-8 text: write it anew") from error


def _ask(*, is_new: bool) -> str:
    if not sys.stdin.isatty():
        raise ConfigError(f"no passphrase for the authority's key: give --passphrase-file or {VARIABLE}")
    answer: str = typer.prompt("Passphrase of the authority", hide_input=True, confirmation_prompt=is_new, err=True)
    return answer
