"""The books of trap and collector, held against each other."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Balance:
    """What one trap issued and what became of it; every number counts windows."""

    issued: int
    acknowledged: int
    pending: int
    dropped: int
    stored: int
    missing: int
    collisions: int
    quarantined: int
    is_same_set: bool

    @property
    def is_even(self) -> bool:
        """Whether every issued window is stored exactly once, and the trap knows it."""
        lost = self.missing or self.dropped or self.pending or self.collisions or self.quarantined
        return not lost and self.is_same_set and self.issued == self.acknowledged == self.stored and self.issued > 0


def balance(trap: dict[str, Any], collector: dict[str, Any]) -> Balance:
    """Compare `trap-agent outbox --json` with `trap-server check --json`, boot by boot.

    A window's key is unique in the database, so equal counts and no gap mean: each stored exactly once.
    """
    issued = {boot["boot"]: boot["issued"] for boot in trap["boots"] if boot["issued"]}
    stored = {boot["boot"]: boot for boot in collector["boots"]}
    complete = {
        boot: boot in stored
        and (stored[boot]["first"], stored[boot]["last"], stored[boot]["stored"]) == (1, count, count)
        for boot, count in issued.items()
    }
    return Balance(
        issued=sum(issued.values()),
        acknowledged=sum(boot["acknowledged"] for boot in trap["boots"]),
        pending=sum(boot["pending"] for boot in trap["boots"]),
        dropped=sum(boot["dropped"] for boot in trap["boots"]),
        stored=collector["stored"],
        missing=collector["missing"],
        collisions=collector["collisions"],
        quarantined=collector["quarantined"],
        is_same_set=all(complete.values()) and set(stored) == set(issued),
    )
