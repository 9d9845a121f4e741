"""Metadata of an ONNX file without the onnx package: the trap does not carry it.

An ONNX file is one protobuf message ModelProto; field 14 is metadata_props, each a StringStringEntryProto with key 1
and value 2 (onnx.proto). Protobuf allows fields in any order, so an entry is added by appending its bytes.
"""

from collections.abc import Iterator

_METADATA_PROPS = 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_properties(model: bytes) -> dict[str, str]:
    """All metadata_props.

    Raises ValueError when the bytes are not a protobuf message.
    """
    properties: dict[str, str] = {}
    for field, wire, start, end, _ in _fields(model):
        if (field, wire) == (_METADATA_PROPS, _BYTES):
            entry = {f: model[start + a : start + b].decode() for f, _, a, b, _ in _fields(model[start:end])}
            properties[entry.get(1, "")] = entry.get(2, "")
    return properties


def with_property(model: bytes, key: str, value: str) -> bytes:
    """The model with this property, in place of any earlier one of the same key."""
    kept = bytearray()
    for field, wire, _, end, begin in _fields(model):
        same = (field, wire) == (_METADATA_PROPS, _BYTES) and key in read_properties(model[begin:end])
        if not same:
            kept += model[begin:end]
    entry = _chunk(1, key.encode()) + _chunk(2, value.encode())
    return bytes(kept) + _chunk(_METADATA_PROPS, entry)


def _fields(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield (field, wire type, payload start, payload end, field start) of one message level."""
    position = 0
    while position < len(data):
        begin = position
        tag, position = _varint(data, position)
        field, wire = tag >> 3, tag & 7
        if wire == _BYTES:
            size, position = _varint(data, position)
            end = position + size
        elif wire == _VARINT:
            _, end = _varint(data, position)
        elif wire in (_FIXED32, _FIXED64):
            end = position + (4 if wire == _FIXED32 else 8)
        else:
            raise ValueError(f"wire type {wire} at byte {begin} is not protobuf")
        if end > len(data) or field == 0:
            raise ValueError(f"field {field} at byte {begin} runs past the end")
        yield field, wire, position, end, begin
        position = end


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError(f"no whole number ends at byte {position}")
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _chunk(field: int, payload: bytes) -> bytes:
    return _encoded(field << 3 | _BYTES) + _encoded(len(payload)) + payload


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
