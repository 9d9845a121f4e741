"""The agent as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TIMEOUT_S = 60


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "trap_agent", *map(str, arguments)]


def run_agent(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run to its end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=TIMEOUT_S, **options)


@contextmanager
def started_agent(
    *arguments: object, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A running agent, its stderr in a file; killed when the block ends."""
    with log.open("ab") as stderr:
        process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=stderr, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
