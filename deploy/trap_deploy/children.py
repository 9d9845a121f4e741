"""Programs kept running: what dies is started again, as systemd does on a real site."""

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

LEAST_LIFE_S = 1.0
"""A program that dies sooner is started again only after this long."""


@dataclass(slots=True)
class Child:
    """One program, its log file, and how often it had to be started again."""

    name: str
    command: list[str]
    log: Path
    restarts: int = 0
    process: subprocess.Popen[bytes] | None = None
    _began_s: float = field(default=0.0, repr=False)

    def start(self, now_s: float) -> None:
        """Start the program; what it prints goes to the log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._began_s = now_s

    def revive(self, now_s: float) -> str | None:
        """Start it again if it ended; returns what happened, or None."""
        if self.process is None or not self.has_ended() or now_s - self._began_s < LEAST_LIFE_S:
            return None
        reason = ended_how(self.process.returncode)
        self.restarts += 1
        self.start(now_s)
        return f"{self.name} {reason}: started again"

    def has_ended(self) -> bool:
        """Whether it was started and runs no more."""
        return self.process is not None and self.process.poll() is not None

    def ask_to_end(self) -> None:
        """Send SIGTERM, if it runs."""
        if self.process is not None and not self.has_ended():
            self.process.send_signal(signal.SIGTERM)

    def stop(self, patience_s: float) -> None:
        """Ask it to end, wait, and kill it where it does not."""
        self.ask_to_end()
        if self.process is not None and not wait_until(self.has_ended, patience_s):
            self.process.kill()
            self.process.wait()

    def last_line(self) -> str:
        """The end of its log, for an error message."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1] if lines else "it printed nothing"


def ended_how(status: int) -> str:
    """An exit status in words."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def wait_until(is_true: Callable[[], bool], limit_s: float, step_s: float = 0.1) -> bool:
    """Ask until it is true; False when the limit passes first."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(step_s)
    return is_true()


def hears_broker(site: str) -> bool:
    """Whether the collector at this address (http://HOST:PORT) is up and subscribed."""
    try:
        with urllib.request.urlopen(f"{site}/readyz", timeout=5) as answer:  # noqa: S310  our own http address
            return bool(json.load(answer)["ingest"] == "connected")
    except OSError:
        return False
