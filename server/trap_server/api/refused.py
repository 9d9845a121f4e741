"""What came and could not be stored as it was: messages in quarantine, and numbers that came twice."""

import base64
import json
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import BaseModel, Field

from trap_server import schema
from trap_server.api.access import Before, Connection, Limit

router = APIRouter(prefix="/api/v1")


class QuarantinedAnswer(BaseModel):
    """A message that could not be understood; kept once, however often it came."""

    id: int
    topic: str
    tenant: str | None
    trap: str | None
    reason: str
    payload_base64: Annotated[str, Field(description="as it came, at most 64 KiB of it")]
    received_at_ms: int
    times: int


class QuarantineAnswer(BaseModel):
    """Messages, newest first, and where to go on."""

    quarantined: list[QuarantinedAnswer]
    next_cursor: int | None


class CollisionAnswer(BaseModel):
    """A number of a boot that came again with other content; the first is stored, this one stands beside it."""

    id: int
    tenant: str
    trap: str
    boot: str
    seq: int
    window: Annotated[dict[str, Any], Field(description="the other content")]
    received_at_ms: int
    times: int


class CollisionsAnswer(BaseModel):
    """Collisions, newest first, and where to go on."""

    collisions: list[CollisionAnswer]
    next_cursor: int | None


@router.get("/quarantine")
def quarantine(connection: Connection, cursor: Before = None, limit: Limit = 100) -> QuarantineAnswer:
    """Messages that could not be understood, with their content."""
    rows = _newest(connection, schema.quarantine, cursor, limit)
    found = [
        QuarantinedAnswer(**row, payload_base64=base64.b64encode(payload).decode())
        for row in rows
        if (payload := row.pop("payload")) is not None
    ]
    return QuarantineAnswer(quarantined=found, next_cursor=found[-1].id if len(found) == limit else None)


@router.get("/collisions")
def collisions(connection: Connection, cursor: Before = None, limit: Limit = 100) -> CollisionsAnswer:
    """Numbers that came twice with different content: a cloned card, or a trap that lost its memory."""
    rows = _newest(connection, schema.collisions, cursor, limit)
    found = [CollisionAnswer(**row, window=json.loads(row.pop("body"))) for row in rows]
    return CollisionsAnswer(collisions=found, next_cursor=found[-1].id if len(found) == limit else None)


def _newest(connection: sa.Connection, table: sa.Table, before: int | None, limit: int) -> list[dict[str, Any]]:
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    found = connection.execute(query if before is None else query.where(table.c.id < before))
    return [dict(row) for row in found.mappings()]
