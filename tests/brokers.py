"""A real mosquitto for tests: on a free port, killable, restartable on the same port with its persisted sessions."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from trap_deploy.demo import find_mosquitto
from trap_deploy.ports import free_port
from waiting import DEADLINE_S

CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 100000
max_keepalive 120
"""


@dataclass(slots=True)
class Broker:
    """One mosquitto; every restart finds the sessions and messages that the last one saved."""

    folder: Path
    port: int
    extra: str = ""
    verbose: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Address for `--broker`."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(CONFIGURATION.format(port=self.port, folder=self.folder) + self.extra)
        with (self.folder / "mosquitto.log").open("ab") as log:
            command = [find_mosquitto(), "-c", str(configuration), *(["-v"] if self.verbose else [])]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._await_listening()

    def _await_listening(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"mosquitto does not listen:\n{self.log()}")

    def log(self) -> str:
        """What mosquitto has said so far."""
        return (self.folder / "mosquitto.log").read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: sessions and queues are saved."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill and start again on the same port."""
        self.kill()
        self.start()

    def forget(self) -> None:
        """Delete what was persisted; call it while the broker is down."""
        (self.folder / "mosquitto.db").unlink(missing_ok=True)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(timeout=DEADLINE_S)


@contextmanager
def running_broker(
    tmp_path: Path, port: int | None = None, extra: str = "", *, verbose: bool = True
) -> Iterator[Broker]:
    """A mosquitto that ends with the block; `extra` lines go to the end of its configuration."""
    broker = Broker(folder=tmp_path / "mosquitto", port=port or free_port(), extra=extra, verbose=verbose)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
