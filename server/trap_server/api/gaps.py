"""Numbers of a trap's boots that are not stored: missing ones may come still, lost ones never will."""

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import BaseModel

from trap_server import schema
from trap_server.api.access import Connection, Trap

router = APIRouter(prefix="/api/v1")


class LossAnswer(BaseModel):
    """What a trap said it gave up, and why."""

    boot: str
    first: int
    last: int
    reason: str
    received_at_ms: int


class BootAnswer(BaseModel):
    """One boot: its numbers go from 1 to `last`; ranges have both ends included."""

    boot: str
    last: int
    missing: list[tuple[int, int]]
    lost: list[tuple[int, int]]


class GapsAnswer(BaseModel):
    """Every boot that is not complete, and what the trap said of its losses."""

    boots: list[BootAnswer]
    losses: list[LossAnswer]


@router.get("/traps/{tenant}/{trap}/gaps")
def gaps(record: Trap, connection: Connection) -> GapsAnswer:
    """What of the trap is missing or lost for good; neither is ever a zero."""
    boots, losses = schema.boots.c, schema.losses.c
    ledgers = sa.select(boots.boot, boots.last, boots.missing, boots.lost).where(
        boots.tenant == record.tenant, boots.trap == record.trap
    )
    told = sa.select(losses.boot, losses.first, losses.last, losses.reason, losses.received_at_ms).where(
        losses.tenant == record.tenant, losses.trap == record.trap
    )
    found = [BootAnswer(**row) for row in connection.execute(ledgers.order_by(boots.boot)).mappings()]
    return GapsAnswer(
        boots=[one for one in found if one.missing or one.lost],
        losses=[LossAnswer(**row) for row in connection.execute(told.order_by(losses.id)).mappings()],
    )
