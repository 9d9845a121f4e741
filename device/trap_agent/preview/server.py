"""The preview's little web server: a page, a stream of JPEG pictures, and their numbers as JSON.

A viewer that is slow or gone costs one thread for a few seconds, and never the analysis; there are few such threads.
"""

import hmac
import json
import socket
import socketserver
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Self
from urllib.parse import parse_qs, urlsplit

from trap_agent.preview.stage import Stage

MOST_CONNECTIONS = 8
IDLE_S = 5.0
"""A client that neither speaks nor takes what is sent for so long is dropped."""

_LEAST_INTERVAL_S = 0.1
_REPEAT_S = 1.0
_BOUNDARY = "picture"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\n\r\ntoo many viewers\n"
_NO_TOKEN = b"This view needs the token: open the address that trap-agent wrote into its log at start.\n"


class PreviewServer(ThreadingHTTPServer):
    """Serves a stage from threads of its own while the `with` block lasts."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], stage: Stage, token: str) -> None:
        """Bind; raises OSError when the address is taken or not ours."""
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.stage = stage
        self.stopping = threading.Event()
        self._token = token.encode()
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    @property
    def cookie_name(self) -> str:
        """Cookies are shared by all ports of a host."""
        return f"preview-{self.port}"

    def may_enter(self, token: str) -> bool:
        """Whether this is the token, found out in the same time whatever it is."""
        return hmac.compare_digest(token.encode(), self._token)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, name="preview", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        elif isinstance(request, socket.socket):
            request.sendall(_BUSY)
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A viewer that goes away is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: PreviewServer
    server_version, sys_version = "trap-agent", ""
    timeout = IDLE_S

    def __init__(self, request: socket.socket, address: object, server: socketserver.BaseServer) -> None:
        super().__init__(request, address, server)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = parse_qs(url.query).get("token", [""])[0]
        if asked and self.server.may_enter(asked):
            cookie = f"{self.server.cookie_name}={asked}; HttpOnly; SameSite=Lax; Path=/"
            self._answer(HTTPStatus.SEE_OTHER, {"Location": "/", "Set-Cookie": cookie})
        elif not self.server.may_enter(self._token()):
            self._answer(HTTPStatus.UNAUTHORIZED, {"Content-Type": "text/plain; charset=utf-8"}, _NO_TOKEN)
        elif url.path in _FILES:
            name, kind = _FILES[url.path]
            self._answer(HTTPStatus.OK, {"Content-Type": kind}, _file(name))
        elif url.path == "/status":
            body = json.dumps(self.server.stage.status()).encode()
            self._answer(HTTPStatus.OK, {"Content-Type": "application/json"}, body)
        elif url.path == "/stream":
            self._stream()
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain"}, b"no such page\n")

    def log_message(self, *_: object) -> None:
        """Nothing: the first request of every viewer holds the token."""

    def _token(self) -> str:
        scheme, _, bearer = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return bearer.strip()
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie_name)
        except CookieError:
            return ""
        return found.value if found else ""

    def _answer(self, status: HTTPStatus, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        """Pictures as they come, until the viewer goes or stops taking them; the last one again when none comes."""
        self.send_response(HTTPStatus.OK)
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        for name, value in {**_HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.end_headers()
        number = -1
        while not self.server.stopping.is_set():
            begun_s = time.monotonic()
            number, data = self.server.stage.picture(number, _REPEAT_S)
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")
            self.server.stopping.wait(_LEAST_INTERVAL_S - (time.monotonic() - begun_s))


def _file(name: str) -> bytes:
    return (resources.files("trap_agent.preview") / name).read_bytes()
