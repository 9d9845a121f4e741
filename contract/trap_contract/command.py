"""The edge shared by every command: a ZancudoError ends as one line on stderr and exit status 1."""

import sys
from collections.abc import Callable

from trap_contract.errors import ZancudoError


def run_command(command: Callable[[], object]) -> None:
    """Run a typer app; print a ZancudoError as one line and exit with 1."""
    try:
        command()
    except ZancudoError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
