"""PMTiles archives of one tile, written by hand (github.com/protomaps/PMTiles, spec/v3)."""

import gzip
import io
import struct

from PIL import Image

VECTOR, PNG = 1, 2
DEEPEST = 14


def png(colour: tuple[int, int, int]) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (256, 256), colour).save(data, "PNG")
    return data.getvalue()


def archive(tile: bytes, kind: int) -> bytes:
    """The same tile everywhere, down to zoom 14."""
    everywhere = (4 ** (DEEPEST + 1) - 1) // 3
    root = gzip.compress(b"".join(map(varint, (1, 0, everywhere, len(tile), 1))))
    about = gzip.compress(b'{"attribution": "<b>Chart</b> of nobody"}')
    places, at = [], 127
    for part in (root, about, b"", tile):
        places += [at, len(part)]
        at += len(part)
    numbers = struct.pack("<11Q", *places, 1, 1, 1)
    kinds = struct.pack("<6B", 1, 2, 1, kind, 0, DEEPEST)
    corners = struct.pack("<4iB2i", -1_800_000_000, -850_000_000, 1_800_000_000, 850_000_000, 0, 0, 0)
    return b"PMTiles\x03" + numbers + kinds + corners + root + about + tile


def sea() -> bytes:
    """A vector tile that is water all over, in the layers of protomaps' basemap (Mapbox Vector Tile 2.1)."""
    side = 4096
    path = [9, 0, 0, 26, *map(zigzag, (side, 0, 0, side, -side, 0)), 15]
    feature = field(2, b"".join(map(varint, (0, 0)))) + number(3, 3) + field(4, b"".join(map(varint, path)))
    layer = number(15, 2) + field(1, b"water") + field(2, feature) + field(3, b"kind") + number(5, side)
    return field(3, layer + field(4, field(1, b"ocean")))


def field(at: int, content: bytes) -> bytes:
    return varint(at << 3 | 2) + varint(len(content)) + content


def number(at: int, value: int) -> bytes:
    return varint(at << 3) + varint(value)


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def zigzag(value: int) -> int:
    return value << 1 ^ value >> 31
