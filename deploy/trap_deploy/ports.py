"""Ports for the programs that are started on this machine."""

import random
import socket

from trap_contract.errors import ConfigError

_PORTS = range(10_000, 32_000)  # below those that Linux lends to outgoing connections, which could take one meanwhile
_TRIES = 1000
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on and that this process was not given before. Raises ConfigError."""
    for _ in range(_TRIES):
        port = random.SystemRandom().choice(_PORTS)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise ConfigError(f"no port from {_PORTS.start} to {_PORTS.stop - 1} is free on 127.0.0.1: end some programs")


def is_taken(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
