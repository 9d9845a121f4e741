"""What moves rollouts on: gather, judge, step, keep, and only then tell the traps."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from trap_contract.logs import log
from trap_contract.rollout import Desired
from trap_contract.topics import TrapAddress

from trap_server.rollouts import keeping
from trap_server.rollouts.engine import Member, State, step
from trap_server.rollouts.evidence import counted, joined, stretch
from trap_server.rollouts.gate import Stretch, Verdict, change, control_of, judge, ring_moved
from trap_server.rollouts.keeping import Rollout
from trap_server.turns import only_reading

JUDGED_A_TURN = 100
JUDGED_EVERY_MS = 300_000
CONTROLS = 20

_RUNNING: tuple[State, ...] = ("running",)
_TELLING: tuple[State, ...] = ("running", "paused", "done", "aborted")

Tell = Callable[[TrapAddress, Desired, int], None]
"""Publish a wish, retained, good for so many seconds."""


@dataclass(slots=True)
class Driver:
    """Moves every rollout on; one more beside it does no harm, for what is told twice is the same."""

    engine: sa.Engine
    tell: Tell
    _generation: int = 0
    _told: set[tuple[str, TrapAddress, str]] = field(default_factory=set)
    _judged_ms: dict[tuple[str, TrapAddress], int] = field(default_factory=dict)
    _before: dict[tuple[str, TrapAddress], Stretch] = field(default_factory=dict)

    def turn(self, now_ms: int, generation: int = 1) -> None:
        """One step of each. Raises sqlalchemy's errors; then nothing was told.

        On every new connection to the broker all is told again: one that was killed has forgotten.
        """
        if generation != self._generation:
            self._generation = generation
            self._told.clear()
        with only_reading(self.engine).begin() as connection:
            if not keeping.rollouts(connection, _TELLING):
                return
        with self.engine.begin() as connection:
            running = keeping.rollouts(connection, _RUNNING)
            for one in running:
                self._move(connection, one, now_ms)
            told = [
                (one, row.member)
                for one in keeping.rollouts(connection, _TELLING)
                if now_ms < one.position.deadline_ms
                for row in keeping.members(connection, one.id)
            ]
        for one, member in told:
            self._tell(one, member, now_ms)

    def _tell(self, one: Rollout, member: Member, now_ms: int) -> None:
        """Once a connection; the broker keeps it for traps that are away."""
        wish = one.wish(member.address)
        key = (one.id, member.address, wish.action)
        is_due = member.offered_ms is not None and (
            member.state in (None, "downloading", "trial")
            if wish.action == "install"
            else member.state not in ("rolled_back", "refused", "failed")
        )
        if is_due and key not in self._told:
            self.tell(member.address, wish, max(1, (one.position.deadline_ms - now_ms) // 1000))
            self._told.add(key)

    def _move(self, connection: sa.Connection, one: Rollout, now_ms: int) -> None:
        rows = keeping.members(connection, one.id)
        members = [row.member for row in rows]
        verdicts, moved = self._judge(connection, one, members, now_ms)
        keeping.keep_verdicts(connection, one.id, [(member, *verdict) for member, verdict in verdicts.items()])
        members = [
            replace(member, verdict=verdicts[member.address][0]) if member.address in verdicts else member
            for member in members
        ]
        decision = step(one.plan, one.position, members, now_ms, moved)
        keeping.offer(connection, one.id, decision.offer, now_ms)
        if decision.position != one.position:
            keeping.move(connection, one, decision.position, now_ms)
            say = log.error if decision.position.state in ("aborted", "paused", "expired") else log.info
            position = decision.position
            say("rollout", id=one.id, state=position.state, ring=position.ring + 1, reason=position.reason)

    def _judge(
        self, connection: sa.Connection, one: Rollout, members: list[Member], now_ms: int
    ) -> tuple[dict[TrapAddress, tuple[Verdict, str]], str | None]:
        """What the gate says of the traps that are due, and of this ring as a whole."""
        due = [member for member in members if self._is_due(one, member, now_ms)][:JUDGED_A_TURN]
        if not due:
            return {}, None
        controls = _controls(connection, one, members, now_ms)
        control = control_of([change(before, after) for before, after in controls])
        verdicts: dict[TrapAddress, tuple[Verdict, str]] = {}
        parts: list[tuple[Stretch, Stretch]] = []
        for member in due:
            assert member.offered_ms is not None
            self._judged_ms[one.id, member.address] = now_ms
            before = self._stretch_before(connection, one, member)
            sha256 = one.bundle.model_sha256
            after = stretch(connection, member.address, member.offered_ms, now_ms, sha256)
            is_soaked = now_ms - member.offered_ms >= one.plan.soak_s * 1000
            verdicts[member.address] = judge(before, after, control, one.plan.gate, is_soaked=is_soaked)
            if member.ring == one.position.ring:
                parts.append((before, after))
        usual = joined([before for before, _ in controls]), joined([after for _, after in controls])
        seen = joined([before for before, _ in parts]), joined([after for _, after in parts])
        return verdicts, ring_moved(*seen, usual, one.plan.gate)

    def _is_due(self, one: Rollout, member: Member, now_ms: int) -> bool:
        is_open = member.offered_ms is not None and member.state in ("trial", "active") and member.verdict == "unknown"
        return is_open and now_ms - self._judged_ms.get((one.id, member.address), 0) >= JUDGED_EVERY_MS

    def _stretch_before(self, connection: sa.Connection, one: Rollout, member: Member) -> Stretch:
        key = (one.id, member.address)
        if key not in self._before:
            assert member.offered_ms is not None
            since_ms = member.offered_ms - one.plan.gate.before_s * 1000
            self._before[key] = stretch(connection, member.address, since_ms, member.offered_ms)
        return self._before[key]


def _controls(
    connection: sa.Connection, one: Rollout, members: list[Member], now_ms: int
) -> list[tuple[Stretch, Stretch]]:
    """Traps that still count with what they had: before this ring was told, and since."""
    told_ms = [member.offered_ms for member in members if member.offered_ms and member.ring == one.position.ring]
    if not told_ms:
        return []
    pivot_ms = min(told_ms)
    since_ms = pivot_ms - one.plan.gate.before_s * 1000
    free = [member.address for member in members if member.offered_ms is None][:CONTROLS]
    return [
        (
            counted(connection, {"of": address.tenant, "named": address.trap, "since": since_ms, "until": pivot_ms}),
            counted(connection, {"of": address.tenant, "named": address.trap, "since": pivot_ms, "until": now_ms}),
        )
        for address in free
    ]
