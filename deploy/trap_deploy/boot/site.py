"""The other side of a booted trap: a real broker and collector on this machine."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trap_contract.errors import ConfigError, StoreError

from trap_deploy.children import Child, wait_until
from trap_deploy.demo import find_mosquitto, write_broker_config
from trap_deploy.ports import free_port, is_taken

_START_S = 120.0
_ASK_EVERY_S = 3.0


@dataclass(slots=True)
class Site:
    """A broker and a collector, each of which can be stopped and started."""

    folder: Path
    port: int
    http_port: int
    broker: Child
    collector: Child

    @classmethod
    def make(cls, folder: Path) -> "Site":
        """Write the broker's configuration; nothing runs yet. Raises ConfigError where a program is missing."""
        folder.mkdir(parents=True)
        port, http_port = free_port(), free_port()
        config = write_broker_config(folder, port)
        broker = Child("broker", [find_mosquitto(), "-c", str(config)], folder / "broker.log")
        server = [_program("trap-server"), "run", "--broker", f"mqtt://127.0.0.1:{port}", "--port", str(http_port)]
        server += ["--database", f"sqlite:///{folder}/counts.db"]
        collector = Child("collector", server, folder / "collector.log")
        return cls(folder, port, http_port, broker, collector)

    def start(self) -> None:
        """Start what does not run, and wait until it answers. Raises StoreError with its last line."""
        for child, port in ((self.broker, self.port), (self.collector, self.http_port)):
            if child.process is None or child.has_ended():
                child.start(time.monotonic())
                if not wait_until(lambda port=port: is_taken(port), _START_S):  # type: ignore[misc]
                    raise StoreError(f"the {child.name} does not come up: {child.last_line()}")

    def stop(self) -> None:
        """End both."""
        for child in (self.collector, self.broker):
            child.stop(20)

    def check(self) -> dict[str, Any]:
        """The collector's books, boot by boot."""
        command = [_program("trap-server"), "check", "--database", f"sqlite:///{self.folder}/counts.db", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1) or not done.stdout:
            raise StoreError(f"trap-server check failed: {done.stderr.strip()[-300:]}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def counted(self) -> int:
        """How many windows are stored for which pictures were looked at."""
        with closing(sqlite3.connect(f"file:{self.folder}/counts.db?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("SELECT count(*) FROM windows WHERE counts IS NOT NULL").fetchone()
        return int(found)

    def await_counts(self, count: int, limit_s: float) -> int:
        """Wait until so many windows with counts are stored. Raises StoreError."""
        deadline = time.monotonic() + limit_s
        while (counted := self.counted()) < count:
            if time.monotonic() > deadline:
                raise StoreError(f"{counted} windows with counts arrived in {limit_s:.0f} s, {count} were awaited")
            time.sleep(_ASK_EVERY_S)
        return counted


def _program(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise ConfigError(f"{name} is missing: run make setup")
    return found
