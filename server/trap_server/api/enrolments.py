"""Enrolling a trap: a one-use join token, told once as files for its card and as a QR code."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from trap_contract.topics import TrapAddress

from trap_server.accounts.audit_log import record
from trap_server.api.access import NameText, NowMs, Writing
from trap_server.api.entry import Operator
from trap_server.fleet.authority import open_fleet
from trap_server.fleet.traps import card_folder, offer_token

DAYS = 825
TEXTS = ("trap.toml", "ca.pem", "join.token")

router = APIRouter(prefix="/api/v1/enrolments")


class EnrolmentBody(BaseModel):
    """Which trap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: NameText
    trap: NameText
    hours: Annotated[int, Field(ge=1, le=8760, description="how long the token is good")] = 72


class EnrolmentAnswer(BaseModel):
    """What goes onto the trap's card; the token is never told again."""

    tenant: str
    trap: str
    expires_ms: int
    files: Annotated[dict[str, str], Field(description="by name, as they go onto the card")]
    qr_svg: Annotated[str, Field(description="the token as a QR code, for a camera")]


@router.post("", status_code=201)
def enrol(
    request: Request, body: EnrolmentBody, operator: Operator, writing: Writing, now_ms: NowMs
) -> EnrolmentAnswer:
    """Promise a trap its certificate; the key is made on the trap."""
    folder: Path | None = request.app.state.fleet
    if folder is None:
        raise HTTPException(404, "this server keeps no fleet: make one with trap-fleet init, and set TRAP_SERVER_FLEET")
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    expires = now + timedelta(hours=body.hours)
    address = TrapAddress(body.tenant, body.trap)
    with open_fleet(folder) as fleet:
        offer_token(fleet, address, secrets.token_urlsafe(32), now, expires=expires, days=DAYS)
        card = card_folder(fleet, address)
        files = {name: (card / name).read_text("utf-8") for name in TEXTS}
        qr_svg = (card / "join.svg").read_text("utf-8")
    record(writing, operator, now_ms, "enrol", f"{body.tenant}/{body.trap}", hours=body.hours)
    return EnrolmentAnswer(
        tenant=body.tenant, trap=body.trap, expires_ms=round(expires.timestamp() * 1000), files=files, qr_svg=qr_svg
    )
