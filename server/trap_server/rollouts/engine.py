"""One step of a rollout: from what its traps have come to, whom to tell now, and whether to go on. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trap_contract.rollout import ProgressState
from trap_contract.topics import TrapAddress

from trap_server.rollouts.gate import Verdict
from trap_server.rollouts.plan import Plan

State = Literal["planned", "running", "paused", "done", "aborted", "expired"]
ENDED: frozenset[State] = frozenset({"done", "aborted", "expired"})
MINUTE_MS = 60_000
_FAILED: frozenset[ProgressState] = frozenset({"rolled_back", "failed"})
_UNTAKEN: frozenset[ProgressState] = frozenset({"refused", "expired"})


@dataclass(frozen=True, slots=True)
class Member:
    """One trap of a rollout."""

    address: TrapAddress
    ring: int
    offered_ms: int | None = None
    state: ProgressState | None = None
    verdict: Verdict = "unknown"

    @property
    def is_unwell(self) -> bool:
        """Whether the bundle did not do it good."""
        return self.state in _FAILED or (self.verdict == "bad" and self.state not in _UNTAKEN)

    @property
    def is_well(self) -> bool:
        """Whether it counts with the bundle, passed its trial, and was watched long enough."""
        return self.state == "active" and self.verdict == "good"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a rollout stands."""

    state: State
    ring: int
    deadline_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where it stands after the step, and whom to tell of the bundle now."""

    position: Position
    offer: tuple[TrapAddress, ...] = ()


def step(plan: Plan, position: Position, members: Sequence[Member], now_ms: int, moved: str | None = None) -> Decision:
    """Abort, pause, go on to the next ring, or tell more traps of this one; `moved`: what the whole ring shows."""
    if position.state != "running":
        return Decision(position)
    ring = [one for one in members if one.ring == position.ring]
    stop = _reason_to_stop(plan, [one for one in members if one.ring <= position.ring], ring, moved)
    if stop is not None:
        is_end = stop[0] == "aborted"  # who is away must hear of it, too
        deadline_ms = now_ms + plan.deadline_after_ms if is_end else position.deadline_ms
        return Decision(Position(stop[0], position.ring, deadline_ms, stop[1]))
    if now_ms >= position.deadline_ms:
        return Decision(Position("expired", position.ring, position.deadline_ms, "its deadline has passed"))
    if all(one.offered_ms is not None for one in ring) and _is_reached(plan, ring):
        return _next_ring(plan, position, members, now_ms)
    return Decision(position, _due(plan, ring, members, now_ms))


def _reason_to_stop(
    plan: Plan, told: Sequence[Member], ring: Sequence[Member], moved: str | None
) -> tuple[State, str] | None:
    """Each ring is judged by itself, the earlier ones too: a trap may fall ill late."""
    for number in sorted({one.ring for one in told}):
        of_ring = [one for one in told if one.ring == number]
        unwell = [one for one in of_ring if one.is_unwell]
        if len(unwell) > plan.abort_share * len(of_ring):
            return "aborted", f"{len(unwell)} of {len(of_ring)} traps of ring {number + 1} are unwell with it"
    if moved is not None:
        return "aborted", f"ring {ring[0].ring + 1}: {moved}" if ring else moved
    untaken = [one for one in ring if one.state in _UNTAKEN]
    if ring and len(untaken) > (1 - plan.reach_share) * len(ring):
        return "paused", f"{len(untaken)} of {len(ring)} traps of ring {ring[0].ring + 1} refuse it"
    return None


def _is_reached(plan: Plan, ring: Sequence[Member]) -> bool:
    return sum(one.is_well for one in ring) >= plan.reach_share * len(ring)


def _next_ring(plan: Plan, position: Position, members: Sequence[Member], now_ms: int) -> Decision:
    if position.ring + 1 == len(plan.rings):
        is_open = any(
            one.state in ("downloading", "trial") for one in members
        )  # who is away hears of it until the deadline
        if is_open:
            return Decision(position)
        well = sum(one.is_well for one in members)
        return Decision(Position("done", position.ring, position.deadline_ms, f"{well} of {len(members)} are well"))
    further = Position("running", position.ring + 1, position.deadline_ms, position.reason)
    ring = [one for one in members if one.ring == further.ring]
    return Decision(further, _due(plan, ring, members, now_ms))


def _due(plan: Plan, ring: Sequence[Member], members: Sequence[Member], now_ms: int) -> tuple[TrapAddress, ...]:
    """As many as the rate allows in any minute; where it is below one a minute, one in its own time."""
    span_ms = max(MINUTE_MS, round(MINUTE_MS / plan.per_minute))
    most = max(1, int(plan.per_minute))
    recent = sum(1 for one in members if one.offered_ms is not None and one.offered_ms > now_ms - span_ms)
    waiting = [one.address for one in ring if one.offered_ms is None]
    return tuple(waiting[: max(0, most - recent)])
