"""A network camera of a few lines: RTSP over TCP (RFC 2326), its video as JPEG in RTP (RFC 2435)."""

import base64
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import cv2
import numpy as np

USER, PASSWORD = "trap", "s3cret"
_FPS = 25
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=cam\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:0\r\n"
)
_GREETING = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


class NetworkCamera:
    """Shows one picture, (H, W, 3) with sides in eights, until it is told to hang: the connection stays, silent."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.hangs = threading.Event()
        self._packets = list(_rtp_jpeg(cv2.imencode(".jpg", pixels)[1].tobytes()))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def address(self, password: str = PASSWORD) -> str:
        return f"rtsp://{USER}:{password}@127.0.0.1:{self.port}/stream"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=(self._listener.accept()[0],), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream, suppress(OSError, ValueError):
            while (request := _request(stream)) is not None:
                method, headers = request
                status, extra, body = _answer(method, headers)
                head = f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
                stream.write((head + body).encode())
                stream.flush()
                if method == "PLAY":
                    threading.Thread(target=self._play, args=(connection,), daemon=True).start()

    def _play(self, connection: socket.socket) -> None:
        sequence = 0
        with suppress(OSError):
            for tick in range(1_000_000):
                if self.hangs.wait(1 / _FPS):
                    return
                for place, payload in enumerate(self._packets, 1):
                    marked = 26 | (128 if place == len(self._packets) else 0)
                    packet = struct.pack(">BBHII", 128, marked, sequence % 65536, tick * 90_000 // _FPS, 1) + payload
                    connection.sendall(struct.pack(">BBH", ord("$"), 0, len(packet)) + packet)
                    sequence += 1


@contextmanager
def network_camera(pixels: np.ndarray) -> Iterator[NetworkCamera]:
    """A camera on this machine, gone when the block ends."""
    camera = NetworkCamera(pixels)
    try:
        yield camera
    finally:
        camera.hangs.set()
        camera.close()


def _request(stream: object) -> tuple[str, dict[str, str]] | None:
    lines = []
    while line := stream.readline().strip():
        lines.append(line.decode("latin-1"))
    if not lines:
        return None
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return lines[0].split()[0], {name.lower(): value for name, value in headers.items()}


def _answer(method: str, headers: dict[str, str]) -> tuple[str, str, str]:
    if method == "OPTIONS":
        return "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""
    if headers.get("authorization") != _GREETING:
        return "401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"\r\n', ""
    if method == "DESCRIBE":
        return "200 OK", "Content-Type: application/sdp\r\n", _SDP
    if method == "SETUP":
        return "200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n", ""
    return "200 OK", "Session: 1\r\n", ""


def _rtp_jpeg(jpeg: bytes) -> Iterator[bytes]:
    """RTP payloads of a baseline JPEG with 4:2:0 colour and the standard Huffman tables, as OpenCV writes them."""
    tables, size, place = b"", (0, 0), 2
    while jpeg[place + 1] != 0xDA:
        kind, length = jpeg[place + 1], struct.unpack(">H", jpeg[place + 2 : place + 4])[0]
        body = jpeg[place + 4 : place + 2 + length]
        if kind == 0xDB:
            tables += b"".join(body[start + 1 : start + 65] for start in range(0, len(body), 65))
        if kind == 0xC0:
            size = struct.unpack(">HH", body[1:5])
        place += 2 + length
    scan = jpeg[place + 2 + struct.unpack(">H", jpeg[place + 2 : place + 4])[0] : -2]
    height, width = size
    for offset in range(0, len(scan), 1200):
        header = struct.pack(">I", offset) + bytes([1, 255, width // 8, height // 8])
        first = b"" if offset else struct.pack(">BBH", 0, 0, len(tables)) + tables
        yield header + first + scan[offset : offset + 1200]
