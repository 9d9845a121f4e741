"""The web application, composed."""

import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from trap_contract.errors import ConfigError

from trap_server import doors, operation
from trap_server.accounts.rates import Rates
from trap_server.api import (
    alerts,
    basemap,
    commands,
    deployments,
    enrolments,
    evidence,
    exports,
    fleet,
    gaps,
    history,
    login,
    models,
    nights,
    notes,
    people,
    quality,
    refused,
    review,
    rollouts,
    settings,
    sex_ratio,
    traps,
)
from trap_server.api.entry import LoginNeededError, Needs
from trap_server.conditional import Conditional
from trap_server.dashboard import pages
from trap_server.dashboard.basemap import OUTLINES, Basemap
from trap_server.live import Newsroom
from trap_server.small_bodies import SmallBodies
from trap_server.version import software_version

API: tuple[tuple[APIRouter, str], ...] = (
    (traps.router, "counts"),
    (fleet.router, "counts"),
    (history.router, "counts"),
    (nights.router, "counts"),
    (evidence.router, "evidence"),
    (review.router, "review"),
    (commands.router, "commands"),
    (settings.router, "commands"),
    (enrolments.router, "enrolment"),
    (sex_ratio.router, "counts"),
    (exports.router, "counts"),
    (notes.router, "counts"),
    (gaps.router, "operation"),
    (refused.router, "operation"),
    (models.router, "operation"),
    (alerts.router, "operation"),
    (quality.router, "operation"),
    (deployments.router, "deployments"),
    (rollouts.router, "rollouts"),
    (people.router, "accounts"),
    (basemap.router, "map"),
)
"""All of it needs a login."""
STATIC = Path(__file__).parent / "static"
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def wall_clock_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def build_app(
    engine: sa.Engine,
    writing: sa.Engine,
    clock: Callable[[], int] = wall_clock_ms,
    *,
    fleet_folder: Path | None = None,
    shelf: Path = Path("bundles"),
    ground: Basemap = OUTLINES,
    url: str | None = None,
) -> FastAPI:
    """The API, the page and the operator's endpoints on one database, opened for reading and for writing."""
    app = FastAPI(
        title="zancudo",
        version=software_version(),
        openapi_url=None,  # it needs a login, as all of the API
        docs_url=None,  # FastAPI's own pages load scripts from a content delivery network
        redoc_url=None,
    )
    app.state.engine = engine
    app.state.writing = writing
    app.state.clock = clock
    app.state.fleet = fleet_folder
    app.state.newsroom = Newsroom(engine, clock)
    app.state.shelf = shelf
    app.state.basemap = ground
    app.state.url = url  # None: links lead to where the browser asked
    app.state.rates = Rates(clock)
    app.include_router(login.router, tags=["login"])
    needs_login = [Depends(Needs("viewer"))]
    for router, tag in API:
        app.include_router(router, tags=[tag], dependencies=needs_login)
    app.add_api_route("/api/v1/openapi.json", app.openapi, dependencies=needs_login, include_in_schema=False)
    app.include_router(rollouts.files, tags=["rollouts"])  # traps have tokens of their own
    app.include_router(operation.router, tags=["operation"])
    app.include_router(doors.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _answer_errors(app)
    app.add_middleware(Conditional)  # within the next: what is compressed differs each time
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.add_middleware(SmallBodies)
    app.add_middleware(SafeHeaders, policy=ground.policy)
    return app


def _answer_errors(app: FastAPI) -> None:
    app.add_exception_handler(sa.exc.DBAPIError, _database_refuses)
    app.add_exception_handler(ConfigError, _asked_wrong)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(LoginNeededError, _nobody)


class SafeHeaders:
    """Forbid the browser whatever the page does not need, on every answer."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = {**HEADERS, "content-security-policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


async def _database_refuses(_request: Request, error: Exception) -> JSONResponse:
    cause = getattr(error, "orig", error)
    return JSONResponse({"detail": f"the database can't be read: {cause}; try again"}, 503, {"Retry-After": "5"})


async def _asked_wrong(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 422)


async def _nobody(request: Request, _error: Exception) -> Response:
    return doors.to_login(request)


async def _malformed(_request: Request, error: Exception) -> JSONResponse:
    """What is wrong and where, without the input: it can be a secret, or text that no JSON can hold."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"detail": [{"loc": one["loc"], "msg": one["msg"], "type": one["type"]} for one in found]}, 422)
