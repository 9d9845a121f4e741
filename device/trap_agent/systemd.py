"""What systemd is told over its datagram socket, sd_notify(3): ready, alive, reloading, stopping, a line of status.

Alive means that a frame was captured and analysed, or that the schedule says to sleep; nothing else feeds the watchdog.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trap_contract.logs import log

_FEEDS_PER_LIMIT = 4
_MICROSECONDS = 1_000_000


@dataclass(slots=True)
class ServiceManager:
    """The manager that started us; nobody listens when the address is empty.

    `watchdog_s` is how long it waits for a sign of life, None when it asks for none.
    """

    address: str = ""
    watchdog_s: float | None = None
    monotonic_s: Callable[[], float] = time.monotonic
    _fed_s: float = field(default=float("-inf"), init=False)
    _is_deaf: bool = field(default=False, init=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], pid: int) -> "ServiceManager":
        """What NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say; a watchdog for another process is not ours."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        watchdog_s = int(microseconds) / _MICROSECONDS if is_ours and microseconds.isdecimal() else None
        address = environment.get("NOTIFY_SOCKET", "")
        return cls(address if address[:1] in ("/", "@") else "", watchdog_s or None)

    def ready(self) -> None:
        """Model and camera are open."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Settings are read again; `ready` follows."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Draining begins."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={' '.join(text.split())}")

    def alive(self) -> None:
        """A frame was analysed, or sleep is due; told on at most four times in the watchdog's limit."""
        now_s = self.monotonic_s()
        if self.watchdog_s is not None and now_s - self._fed_s >= self.watchdog_s / _FEEDS_PER_LIMIT:
            self._fed_s = now_s
            self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if not self.address:
            return
        path = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto(message.encode(), path)
        except OSError as error:
            if not self._is_deaf:
                log.warning("systemd does not listen", socket=self.address, error=error.strerror)
            self._is_deaf = True


def service_manager() -> ServiceManager:
    """The one that started this process."""
    return ServiceManager.from_environment(os.environ, os.getpid())
