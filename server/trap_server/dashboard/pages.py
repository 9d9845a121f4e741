"""The pages: each is a frame in the reader's language; what it shows comes from the API."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from trap_server import queries
from trap_server.accounts.callers import Caller
from trap_server.accounts.passwords import LONGEST, SHORTEST
from trap_server.alerting import keeping as alerting
from trap_server.api.access import Connection, NowMs, Trap
from trap_server.api.entry import Visitor
from trap_server.dashboard import languages
from trap_server.dashboard.basemap import Basemap
from trap_server.version import software_version

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(Path(__file__).parents[1] / "templates")

PAGES = (
    ("fleet", "/"),
    ("nights", "/nights"),
    ("quality", "/quality"),
    ("review", "/review"),
    ("alerts", "/alerts"),
    ("operate", "/operate"),
)
FLEET_COLUMNS = (
    ("name", ""),
    ("status", ""),
    ("females", "number"),
    ("males", "number"),
    ("share", "number"),
    ("coverage", "number"),
    ("complete", "number"),
    ("battery", "number"),
    ("picture", "number"),
)
OPERATE_TABS = ("places", "enrol", "rollouts", "people", "tokens", "audit")


def render(
    request: Request, visitor: Caller, connection: Connection, now_ms: int, page: str, *, section: str = "", **more: Any
) -> Response:
    """One page in the reader's language and theme."""
    reader = languages.reader_of(request)
    language = reader["language"]
    basemap: Basemap = request.app.state.basemap
    content = {
        **reader,
        "page": page,
        "section": section or page,
        "pages": PAGES,
        "languages": languages.NAMES,
        "person": visitor,
        "live": True,
        "ingest": queries.ingest_health(queries.collectors(connection), now_ms),
        "open_alerts": alerting.count_open(connection),
        "version": software_version(),
        "context": {
            "language": language,
            "texts": dict(languages.texts_of(language)),
            "person": {"name": visitor.name, "role": visitor.role},
            "newest": queries.newest_id(connection),
            "map": {"tiles": basemap.address, "attribution": basemap.attribution},
            **more.pop("told", {}),
        },
        **more,
    }
    headers = {"cache-control": "no-store", "vary": "cookie, accept-language"}
    return templates.TemplateResponse(request, f"{page}.html", content, headers=headers)


@router.get("/")
def fleet(request: Request, visitor: Visitor, connection: Connection, now_ms: NowMs) -> Response:
    """Every trap on a map and in a table."""
    return render(request, visitor, connection, now_ms, "fleet", columns=FLEET_COLUMNS)


@router.get("/traps/{tenant}/{trap}")  # noqa: FAST003  `Trap` reads both
def trap(request: Request, visitor: Visitor, connection: Connection, now_ms: NowMs, record: Trap) -> Response:
    """One trap: tonight, its nights, its board."""
    told = {"tenant": record.tenant, "trap": record.trap}
    return render(request, visitor, connection, now_ms, "trap", section="fleet", told=told, **told)


@router.get("/nights")
def nights(request: Request, visitor: Visitor, connection: Connection, now_ms: NowMs) -> Response:
    """The table of trap-nights."""
    return render(request, visitor, connection, now_ms, "nights")


@router.get("/quality")
def quality(request: Request, visitor: Visitor, connection: Connection, now_ms: NowMs) -> Response:
    """What is missing, late, double or refused."""
    return render(request, visitor, connection, now_ms, "quality")


@router.get("/review")
def review(request: Request, visitor: Visitor, connection: Connection, now_ms: NowMs) -> Response:
    """Crops to label."""
    return render(request, visitor, connection, now_ms, "review")


@router.get("/alerts")
def alerts(request: Request, visitor: Visitor, connection: Connection, now_ms: NowMs) -> Response:
    """What is wrong, and who has seen it."""
    return render(request, visitor, connection, now_ms, "alerts")


@router.get("/operate")
def operate(request: Request, visitor: Visitor, connection: Connection, now_ms: NowMs) -> Response:
    """Enrolment, rollouts, people and tokens."""
    return render(request, visitor, connection, now_ms, "operate", tabs=OPERATE_TABS)


@router.get("/account")
def account(request: Request, visitor: Visitor, connection: Connection, now_ms: NowMs) -> Response:
    """One's own password."""
    return render(request, visitor, connection, now_ms, "account", shortest=SHORTEST, longest=LONGEST)
