"""Ways into a collector of one's own: a token for a program, a link for a browser."""

import subprocess
import sys
from pathlib import Path

from trap_contract.errors import StoreError


def token_for(name: str, database: str) -> str:
    """A token by which a program reads the API. Raises StoreError."""
    return output_of("trap-server", "tokens", "add", name, "--database", database).strip()


def link_for(name: str, database: str, address: str) -> str:
    """A link by which a browser comes straight in once, as a new admin. Raises StoreError."""
    person = ("people", "add", name, "--role", "admin", "--enter")
    return output_of("trap-server", *person, "--url", address, "--database", database).strip()


def output_of(*command: str) -> str:
    """What one of our programs prints. Raises StoreError when it fails."""
    program = str(Path(sys.executable).parent / command[0])
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StoreError(f"{command[0]} {command[1]} failed: {done.stderr.strip()}")
    return done.stdout
