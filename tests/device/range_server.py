"""A collector's file server with faults to order: it cuts lines, ignores ranges, alters bytes, redirects, refuses."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class RangeServer:
    """What it serves, what it does wrong, and what it was asked for."""

    files: dict[str, bytes]
    token: str = "right"
    cut_after: list[int] = field(default_factory=list)
    knows_ranges: bool = True
    is_altering: bool = False
    redirect: str = ""
    ranges: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self.redirect:
            request.send_response(302)
            request.send_header("Location", self.redirect)
            request.end_headers()
            return
        content = self.files.get(request.path.removeprefix("/files/"))
        if content is None or request.headers["Authorization"] != f"Bearer {self.token}":
            request.send_error(404 if content is None else 401)
            return
        self.ranges.append(request.headers["Range"])
        begin = int(request.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.knows_ranges else 0
        body = content[begin:]
        request.send_response(206 if self.knows_ranges else 200)
        if self.knows_ranges:
            request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.is_altering:
            body = bytes(byte ^ 1 for byte in body)
        request.wfile.write(body[: self.cut_after.pop(0)] if self.cut_after else body)


@contextmanager
def serving(files: dict[str, bytes], **faults: Any) -> Iterator[RangeServer]:
    """The server, until the block ends."""
    server = RangeServer(files, **faults)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listener.server_address[1]}/files"
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
