"""ETags: a reader that has the answer already is told so, and not sent it again (RFC 9110, 13.1.2)."""

import hashlib
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/api/"


class Conditional:
    """Gives every JSON answer of the API its ETag, and answers 304 where `If-None-Match` has it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        is_read = scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(PREFIX)
        held = _Held(send, Headers(scope=scope).get("if-none-match", "")) if is_read else None
        await self._app(scope, receive, held or send)


class _Held:
    """Holds a JSON answer back until it is whole; other answers pass."""

    def __init__(self, send: Send, known: str) -> None:
        self._send = send
        self._known = {tag.strip().removeprefix("W/") for tag in known.split(",")}
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_json(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._answer(self._start)

    async def _answer(self, start: Message) -> None:
        tag = f'"{hashlib.sha256(self._body).hexdigest()[:32]}"'
        headers = MutableHeaders(raw=start["headers"])
        headers["etag"] = f"W/{tag}"  # weak: it is the same whether the answer is compressed or not
        headers.setdefault("cache-control", "private, no-cache")
        headers.setdefault("vary", "Cookie, Authorization")
        body = bytes(self._body)
        if tag in self._known or "*" in self._known:
            start["status"], body = HTTPStatus.NOT_MODIFIED, b""
            del headers["content-length"]
            del headers["content-type"]
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _is_json(start: Message) -> bool:
    kind = Headers(raw=start["headers"]).get("content-type", "")
    return start["status"] == HTTPStatus.OK and kind.startswith("application/json")
