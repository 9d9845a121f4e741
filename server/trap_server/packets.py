"""The two MQTT 5 packets that come and go with every message, PUBLISH and PUBACK; OASIS MQTT 5.0, 3.3 and 3.4."""

from typing import NamedTuple

from paho.mqtt.exception import MalformedPacket

_PUBLISH = 3
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
    properties_length, payload_at = _read_length(body, properties_at)
    payload_at += properties_length
    if qos > 1 or payload_at > len(body):
        raise MalformedPacket(f"PUBLISH of qos {qos}, {len(body)} bytes")
    return Publish(
        topic=body[2:topic_end].decode(errors="replace"),
        payload=bytes(body[payload_at:]),
        qos=qos,
        mid=int.from_bytes(body[topic_end:properties_at], "big"),
        retained=bool(command & 1),
    )


def find_publish(data: bytes, at: int) -> tuple[Publish, int] | None:
    """The PUBLISH that begins at `at`, and where it ends; None where it has not come whole, or is another packet.

    Raises MalformedPacket.
    """
    if at >= len(data) or data[at] >> 4 != _PUBLISH:
        return None
    length, begin = _read_length(data, at + 1)
    end = begin + length
    return (decode_publish(data[at], data[begin:end]), end) if end <= len(data) else None


def puback(mid: int) -> bytes:
    """Acknowledge a message, with success and no properties."""
    return _PUBACK + mid.to_bytes(2, "big")


def _read_length(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A length at `at`, seven bits a byte, and where it ends."""
    length = 0
    for place in range(_LONGEST_LENGTH):
        if at + place >= len(data):
            break
        digit = data[at + place]
        length |= (digit & 0x7F) << 7 * place
        if digit < 0x80:
            return length, at + place + 1
    raise MalformedPacket("a length that does not end")
