"""Rollouts: how far a bundle has come, and its files for the traps that it is meant for."""

from typing import Annotated, Self

from fastapi import APIRouter, Header, HTTPException, Path, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict
from trap_contract.rollout import ProgressState

from trap_server.api.access import Connection, NowMs
from trap_server.rollouts import keeping
from trap_server.rollouts.engine import State
from trap_server.rollouts.gate import Verdict
from trap_server.rollouts.keeping import MemberRow, Rollout
from trap_server.rollouts.plan import Plan
from trap_server.rollouts.shelf import file_on_shelf

router = APIRouter(prefix="/api/v1/rollouts")
files = APIRouter(prefix="/api/v1/rollouts")
RolloutId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
_OPEN: tuple[State, ...] = ("running", "paused", "done")


class RingAnswer(BaseModel):
    """How many traps of a ring have come how far; `well` of them have passed the gate too."""

    model_config = ConfigDict(frozen=True)

    ring: str
    traps: int
    told: int
    well: int
    unwell: int
    states: dict[str, int]


class RolloutAnswer(BaseModel):
    """One rollout."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: State
    reason: str
    ring: int
    model: str
    digest: str
    signed_at_s: int
    created_ms: int
    changed_ms: int
    deadline_ms: int
    plan: Plan
    rings: list[RingAnswer]

    @classmethod
    def of(cls, one: Rollout, rows: list[tuple[int, str | None, str, int, int]]) -> Self:
        """With the counts of its rings."""
        return cls(
            id=one.id,
            state=one.position.state,
            reason=one.position.reason,
            ring=one.position.ring,
            model=one.bundle.model,
            digest=one.bundle.digest,
            signed_at_s=one.bundle.signature.signed_at_s,
            created_ms=one.created_ms,
            changed_ms=one.changed_ms,
            deadline_ms=one.position.deadline_ms,
            plan=one.plan,
            rings=[_ring(name, [row for row in rows if row[0] == place]) for place, name in enumerate(one.plan.rings)],
        )


class RolloutTrapAnswer(BaseModel):
    """One trap of a rollout: what it says, and what its counts say of it."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    trap: str
    ring: int
    told_ms: int | None
    state: ProgressState | None
    fetched: int
    text: str
    verdict: Verdict
    verdict_text: str
    changed_ms: int | None

    @classmethod
    def of(cls, row: MemberRow) -> Self:
        """From the database."""
        member = row.member
        return cls(
            tenant=member.address.tenant,
            trap=member.address.trap,
            ring=member.ring,
            told_ms=member.offered_ms,
            state=member.state,
            fetched=row.fetched,
            text=row.text,
            verdict=member.verdict,
            verdict_text=row.verdict_text,
            changed_ms=row.changed_ms,
        )


def find_rollout(rollout: RolloutId, connection: Connection) -> Rollout:
    """The rollout of this id; 404 when there is none."""
    found = keeping.find_rollout(connection, rollout)
    if found is None:
        raise HTTPException(404, f"there is no rollout {rollout}; see /api/v1/rollouts")
    return found


@router.get("")
def rollouts(connection: Connection) -> list[RolloutAnswer]:
    """Every rollout, newest first."""
    return [RolloutAnswer.of(one, keeping.summary(connection, one.id)) for one in keeping.rollouts(connection)]


@router.get("/{rollout}")
def one_rollout(rollout: RolloutId, connection: Connection) -> RolloutAnswer:
    """One rollout."""
    one = find_rollout(rollout, connection)
    return RolloutAnswer.of(one, keeping.summary(connection, one.id))


@router.get("/{rollout}/traps")
def rollout_traps(rollout: RolloutId, connection: Connection) -> list[RolloutTrapAnswer]:
    """Its traps, by ring and name."""
    one = find_rollout(rollout, connection)
    return [RolloutTrapAnswer.of(row) for row in keeping.members(connection, one.id)]


@files.get("/{rollout}/files/{name:path}", response_class=FileResponse)
def bundle_file(
    *,
    rollout: Annotated[str, Path(max_length=64)],
    name: Annotated[str, Path(max_length=400)],
    request: Request,
    connection: Connection,
    now_ms: NowMs,
    authorization: Annotated[str, Header(max_length=400, description="Bearer, and the token of `desired`")] = "",
) -> FileResponse:
    """One file of the bundle, whole or by ranges, for a trap that was told of it."""
    scheme, _, token = authorization.partition(" ")
    one = keeping.find_rollout(connection, rollout)
    if one is None or scheme.lower() != "bearer" or one.admits(token) is None:
        raise HTTPException(401, "show the token of this trap's `desired` message", {"WWW-Authenticate": "Bearer"})
    if one.position.state not in _OPEN or now_ms >= one.position.deadline_ms:
        raise HTTPException(410, f"this rollout is {one.position.state}: its files are no longer given out")
    path = file_on_shelf(request.app.state.shelf, one.bundle, name)
    if path is None:
        raise HTTPException(404, f"the bundle has no file {name!r} here")
    return FileResponse(path, media_type="application/octet-stream")


def _ring(name: str, rows: list[tuple[int, str | None, str, int, int]]) -> RingAnswer:
    states: dict[str, int] = {}
    for _, state, _, count, _ in rows:
        states[state or "silent"] = states.get(state or "silent", 0) + count
    unwell = sum(
        count
        for _, state, verdict, count, _ in rows
        if state in ("rolled_back", "failed") or (verdict == "bad" and state not in ("refused", "expired"))
    )
    return RingAnswer(
        ring=name,
        traps=sum(row[3] for row in rows),
        told=sum(row[4] for row in rows),
        well=sum(count for _, state, verdict, count, _ in rows if (state, verdict) == ("active", "good")),
        unwell=unwell,
        states=states,
    )
