"""A time server for a guest that has no clock: the smallest that RFC 5905 lets a client believe."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from trap_contract.errors import ConfigError

PORT = 123
_EPOCH_S = 2_208_988_800
"""From 1900, where NTP begins, to 1970."""
_SERVER_V4 = 0x24
_STRATUM, _POLL, _PRECISION = 2, 6, -20


def reply(request: bytes, now_s: float) -> bytes:
    """The answer to a client's packet: its own sending time back, and ours."""
    now = struct.pack("!II", (int(now_s) + _EPOCH_S) % 2**32, int(now_s % 1 * 2**32))
    head = struct.pack("!BBbbII4s", _SERVER_V4, _STRATUM, _POLL, _PRECISION, 0, 0, b"LOCL")
    return head + now + request[40:48] + now + now


@contextmanager
def serve_time() -> Iterator[None]:
    """Answer on this machine's port 123, which root alone may open. Raises ConfigError."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        server.bind(("127.0.0.1", PORT))
    except OSError as error:
        raise ConfigError(f"port {PORT} for a time server: {error.strerror}") from error
    server.settimeout(0.2)
    stop = threading.Event()
    thread = threading.Thread(target=_serve, args=(server, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        server.close()


def _serve(server: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            request, client = server.recvfrom(512)
        except TimeoutError:
            continue
        if len(request) >= 48:
            server.sendto(reply(request, time.time()), client)
