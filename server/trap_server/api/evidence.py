"""Pictures that traps sent for people to look at."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from trap_contract.messages import MAX_SEQ
from trap_contract.topics import TrapAddress

from trap_server import gallery
from trap_server.answers import EvidencePage
from trap_server.api.access import Connection, Limit, Moment, Number, Trap

FOREVER = "private, max-age=31536000, immutable"

router = APIRouter(prefix="/api/v1")


def read_wanted(
    *,
    kind: Literal["crop", "snapshot"] | None = None,
    label: Annotated[str | None, Query(max_length=64, description="the class that was counted")] = None,
    boot: Annotated[str | None, Query(pattern="^[0-9a-f]{32}$", description="of the window")] = None,
    seq: Annotated[int | None, Query(ge=1, le=MAX_SEQ, description="of the window")] = None,
    since: Moment = 0,
    until: Moment = MAX_SEQ,
) -> gallery.Wanted:
    """Which pictures; `since` and `until` (excluded) are by the trap's own clock."""
    return gallery.Wanted(kind, label, boot, seq, since, until)


@router.get("/traps/{tenant}/{trap}/evidence")
def evidence(
    *,
    record: Trap,
    connection: Connection,
    wanted: Annotated[gallery.Wanted, Depends(read_wanted)],
    limit: Limit = 100,
    cursor: Annotated[int, Query(ge=1, le=MAX_SEQ, description="next_cursor of the last page")] = MAX_SEQ,
) -> EvidencePage:
    """Crops and snapshots of one trap, the newest first."""
    found = gallery.find(connection, TrapAddress(record.tenant, record.trap), wanted, before=cursor, limit=limit)
    return EvidencePage(evidence=found, next_cursor=found[-1].id if len(found) == limit else None)


@router.get(
    "/evidence/{number}.jpg",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, 404: {"description": "no such picture, or none any more"}},
)
def picture(number: Number, connection: Connection) -> Response:
    """One picture."""
    jpeg = gallery.jpeg(connection, number)
    if jpeg is None:
        raise HTTPException(404, f"no picture {number} is kept")
    return Response(jpeg, media_type="image/jpeg", headers={"cache-control": FOREVER})
