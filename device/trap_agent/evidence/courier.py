"""Which picture goes next: one at a time, so that a count never waits for more than one of them."""

from collections.abc import Sequence
from typing import Final

from trap_contract.logs import log
from trap_contract.messages import Evidence

from trap_agent.evidence.box import EvidenceBox

RESEND_S: Final = 120.0


class Courier:
    """One picture is on its way until the collector has it; one that it does not take lets the others go before."""

    def __init__(self, box: EvidenceBox) -> None:
        self._box = box
        self._passed: set[str] = set()
        self._flying: str | None = None
        self._due_s = 0.0

    def connected(self) -> None:
        """A new connection: nothing is on its way."""
        self._flying = None

    def next(self, now_s: float) -> Evidence | None:
        """What to send now, or nothing; it is on its way from here on."""
        if self._flying is not None and now_s < self._due_s:
            return None
        if self._flying is not None:
            self._passed.add(self._flying)
        evidence = self._box.first(self._passed)
        if evidence is None:
            self._passed.clear()
        self._flying = None if evidence is None else evidence.id
        self._due_s = now_s + RESEND_S
        return evidence

    def too_large(self, evidence: Evidence) -> None:
        """The broker takes no message as large as this one."""
        log.error("the broker takes no message as large as this picture, it is given up", id=evidence.id)
        self.settled([evidence.id])

    def settled(self, names: Sequence[str]) -> None:
        """The collector has these, or they can never be sent."""
        self._box.forget(names)
        self._passed.difference_update(names)
        if self._flying in names:
            self._flying = None
