"""Paho, made fast where a message passes: a socket that asks the kernel seldom, and a PUBLISH read by ourselves.

Paho reads a packet in three calls, and writes each in one of its own. Every call into the kernel lets another thread
have the interpreter, and the writer has much to do with it: a packet's three reads can cost three waits. What is read
ahead lies here; what is written waits for `flush`.
"""

import ssl
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.exception import MalformedPacket

from trap_server.packets import Publish, decode_publish, find_publish

READ_BYTES = 64 * 1024


class BufferedSocket:
    """A connected socket, plain or TLS, not blocking; used by one thread. The rest is as the socket itself has it."""

    def __init__(self, link: Any) -> None:
        self._link = link
        self._read = b""
        self._at = 0
        self._unsent = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    def fileno(self) -> int:
        """For select(); -1 once it is closed."""
        return int(self._link.fileno())

    def recv(self, count: int) -> bytes:
        """At most `count` bytes; empty at the end. Raises what the socket raises when there are none yet."""
        if self._at == len(self._read):
            self._read, self._at = self._link.recv(READ_BYTES), 0
        found = self._read[self._at : self._at + count]
        self._at += len(found)
        return found

    def take_publish(self) -> Publish | None:
        """The next packet, where it is a good PUBLISH that has been read ahead whole; else nothing is taken."""
        try:
            found = find_publish(self._read, self._at)
        except MalformedPacket:
            return None
        if found is None:
            return None
        message, self._at = found
        return message

    def has_more(self) -> bool:
        """Whether something can be read that no select() would tell of."""
        return self._at < len(self._read) or (isinstance(self._link, ssl.SSLSocket) and self._link.pending() > 0)

    def send(self, data: bytes) -> int:
        """Take all of it, for the next `flush`."""
        self._unsent += data
        return len(data)

    def flush(self) -> bool:
        """Write what the kernel takes now; whether that was all. A connection that is gone tells whoever reads."""
        try:
            while self._unsent:
                del self._unsent[: self._link.send(self._unsent)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            self._unsent.clear()
        return True

    def close(self) -> None:
        """Write what can still be written, and close."""
        self.flush()
        self._link.close()


class BufferedClient(paho.Client):
    """A paho client on buffered sockets that hands every PUBLISH to `arrived`, undecoded by paho.

    Its loop must call `flush` of `socket()`. Paho makes an object of some twenty tables for the properties of each
    message, which takes longer than all the rest of receiving it; connecting, sessions, subscriptions, keep-alive and
    what is published stay paho's.
    """

    arrived: Callable[[Publish], None]

    def read_packet(self) -> bool:
        """Read one packet, if it has come whole; `loop_read` reads as many as this client has messages under way."""
        link: Any = self._sock
        if link is None:
            return False
        if not self._in_packet["command"] and (message := link.take_publish()):
            self.arrived(message)
            return True
        code = self._packet_read()
        if code > MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._loop_rc_handle(code)
        return code == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _create_socket(self) -> Any:
        return BufferedSocket(super()._create_socket())

    def _handle_publish(self) -> MQTTErrorCode:
        self.arrived(decode_publish(self._in_packet["command"], self._in_packet["packet"]))
        return MQTTErrorCode.MQTT_ERR_SUCCESS
