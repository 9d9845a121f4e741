"""Whether to believe the numbers."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from trap_server import quality, queries
from trap_server.api.access import Connection, NowMs
from trap_server.trap_record import Status

router = APIRouter(prefix="/api/v1")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class OwedAnswer(_Answer):
    """Windows of one trap that are not stored: `missing` may come still, `lost` never will."""

    tenant: str
    trap: str
    missing: int
    lost: int
    ranges: int
    reasons: tuple[str, ...]


class TimingAnswer(_Answer):
    """Of the newest windows of one trap: late ones, and how their time is known."""

    tenant: str
    trap: str
    windows: int
    late: int
    latest_ms: int
    repaired: int
    undated: int
    worst_error_ms: int | None


class QuarantineAnswer(_Answer):
    """A message that could not be understood."""

    id: int
    topic: str
    tenant: str | None
    trap: str | None
    reason: str
    received_at_ms: int
    times: int
    bytes: int


class CollisionAnswer(_Answer):
    """A number that came twice with different content."""

    id: int
    tenant: str
    trap: str
    boot: str
    seq: int
    received_at_ms: int
    times: int


class UnclaimedAnswer(_Answer):
    """A trap that sends and stands nowhere."""

    tenant: str
    trap: str
    site: Annotated[str, Field(description="where it hangs, as its card says; empty: it says nothing")]
    last_seen_ms: int | None
    status: Status


class CollectorAnswer(_Answer):
    """One ingest process; the counters only grow."""

    name: str
    health: Literal["connected", "disconnected", "silent"]
    heartbeat_ms: int
    stored: int
    duplicates: int
    collisions: int
    quarantined: int
    acknowledged: int


class QualityAnswer(_Answer):
    """Everything that may make a number doubtful; lists hold at most 100 of the newest."""

    collectors: list[CollectorAnswer]
    owed: list[OwedAnswer]
    timing: list[TimingAnswer]
    timing_since_ms: int | None
    quarantined: list[QuarantineAnswer]
    collisions: list[CollisionAnswer]
    unclaimed: list[UnclaimedAnswer]


@router.get("/quality")
def data_quality(connection: Connection, now_ms: NowMs) -> QualityAnswer:
    """Gaps, losses, late and repaired clocks, duplicates, collisions, quarantine, traps without a place."""
    timing, since_ms = quality.timing(connection)
    return QualityAnswer(
        collectors=[_collector(one, now_ms) for one in queries.collectors(connection)],
        owed=[OwedAnswer.model_validate(one) for one in quality.owed(connection)],
        timing=[TimingAnswer.model_validate(one) for one in timing],
        timing_since_ms=since_ms,
        quarantined=[QuarantineAnswer.model_validate(one) for one in quality.quarantined(connection)],
        collisions=[CollisionAnswer.model_validate(one) for one in quality.collisions(connection)],
        unclaimed=[UnclaimedAnswer.model_validate(one) for one in quality.unclaimed(connection, now_ms)],
    )


def _collector(one: queries.CollectorRecord, now_ms: int) -> CollectorAnswer:
    return CollectorAnswer(
        name=one.name,
        health=one.health(now_ms),
        heartbeat_ms=one.heartbeat_ms,
        stored=one.stored,
        duplicates=one.duplicates,
        collisions=one.collisions,
        quarantined=one.quarantined,
        acknowledged=one.acknowledged,
    )
