"""The web application, composed."""

import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trap_server import api, operation, pages
from trap_server.version import software_version

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def wall_clock_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def build_app(engine: sa.Engine, clock: Callable[[], int] = wall_clock_ms) -> FastAPI:
    """The API, the page and the operator's endpoints on one database, which is only read."""
    app = FastAPI(
        title="zancudo",
        version=software_version(),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # FastAPI's own pages load scripts from a content delivery network
        redoc_url=None,
    )
    app.state.engine = engine
    app.state.clock = clock
    app.include_router(api.router, tags=["counts"])
    app.include_router(operation.router, tags=["operation"])
    app.include_router(pages.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(sa.exc.DBAPIError, _database_refuses)
    app.add_middleware(SafeHeaders)
    return app


class SafeHeaders:
    """Forbid the browser whatever the page does not need, on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


async def _database_refuses(_request: Request, error: Exception) -> JSONResponse:
    cause = getattr(error, "orig", error)
    return JSONResponse({"detail": f"the database can't be read: {cause}; try again"}, 503, {"Retry-After": "5"})
