"""The edge shared by every command: what can be foreseen ends as one line on stderr and exit status 1."""

import sys
from collections.abc import Callable

from trap_contract.errors import ZancudoError


def run_command(command: Callable[[], object]) -> None:
    """Run a typer app; an error of ours or of the file system is one line, and the exit status 1."""
    try:
        command()
    except ZancudoError as error:
        _end(str(error), error)
    except OSError as error:
        _end(f"{error.filename}: {error.strerror}" if error.filename else str(error), error)


def _end(text: str, error: Exception) -> None:
    print(f"error: {text}", file=sys.stderr)
    raise SystemExit(1) from error
