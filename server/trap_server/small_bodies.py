"""What is sent to the API is small; whoever sends more is refused before it is kept in memory."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 1_000_000
"""A rollout that names ten thousand traps fits; nothing else comes near it."""


class SmallBodies:
    """Answers 413 to a request whose body is longer than MOST_BYTES, whether it says so or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        if not said.isdigit() or int(said) > MOST_BYTES:
            await _TOO_LONG(scope, receive, send)
            return
        got = 0

        async def receive_little() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > MOST_BYTES:
                raise _TooLongError
            return message

        try:
            await self._app(scope, receive_little, send)
        except _TooLongError:
            await _TOO_LONG(scope, receive, send)


class _TooLongError(Exception):
    """More came than was announced."""


_TOO_LONG = JSONResponse({"detail": f"the body is longer than {MOST_BYTES} bytes"}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
