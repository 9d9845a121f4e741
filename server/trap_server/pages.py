"""The page: rendered here, kept live by one small script."""

from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from trap_server import queries
from trap_server.api.access import Connection, NowMs
from trap_server.api.traps import traps
from trap_server.headline import SEXES, headline

router = APIRouter()
templates = Jinja2Templates(Path(__file__).parent / "templates")


def utc(ms: int | None) -> str:
    """ISO 8601, for the script and for readers without it."""
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


templates.env.filters["utc"] = utc


@router.get("/")
def fleet(request: Request, connection: Connection, now_ms: NowMs) -> Response:
    """Every trap on one page."""
    found = traps(connection, now_ms)
    return templates.TemplateResponse(
        request,
        "fleet.html",
        {
            "traps": found,
            "summary": queries.summary(connection, found, now_ms),
            "newest_id": queries.newest_id(connection),
            "sexes": SEXES,
            "headline": headline,
        },
        headers={"cache-control": "no-store"},
    )
