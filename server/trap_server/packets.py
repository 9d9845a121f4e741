"""The two MQTT 5 packets that come and go with every message, PUBLISH and PUBACK; OASIS MQTT 5.0, 3.3 and 3.4."""

from typing import NamedTuple

from paho.mqtt.exception import MalformedPacket

_PUBACK = b"\x40\x02"
_LONGEST_LENGTH = 4


class Publish(NamedTuple):
    """A message as the broker sends it; `mid` is 0 for qos 0."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    retained: bool


def decode_publish(command: int, body: bytes | bytearray) -> Publish:
    """Read a PUBLISH: the first byte of its packet, and all that comes after the remaining length.

    What its properties say is skipped: nobody asked the broker for aliases, and traps say nothing there. A topic that
    is not UTF-8 is kept readable, for quarantine. Raises MalformedPacket.
    """
    qos = command >> 1 & 3
    topic_end = 2 + int.from_bytes(body[:2], "big")
    properties_at = topic_end + (2 if qos else 0)
    payload_at = _after_properties(body, properties_at)
    if qos > 1 or payload_at > len(body):
        raise MalformedPacket(f"PUBLISH of qos {qos}, {len(body)} bytes")
    return Publish(
        topic=body[2:topic_end].decode(errors="replace"),
        payload=bytes(body[payload_at:]),
        qos=qos,
        mid=int.from_bytes(body[topic_end:properties_at], "big"),
        retained=bool(command & 1),
    )


def puback(mid: int) -> bytes:
    """Acknowledge a message, with success and no properties."""
    return _PUBACK + mid.to_bytes(2, "big")


def _after_properties(body: bytes | bytearray, at: int) -> int:
    """Where the properties end that begin with their own length at `at`, seven bits a byte."""
    length = 0
    for place in range(_LONGEST_LENGTH):
        if at + place >= len(body):
            break
        digit = body[at + place]
        length |= (digit & 0x7F) << 7 * place
        if digit < 0x80:
            return at + place + 1 + length
    raise MalformedPacket("PUBLISH without the length of its properties")
