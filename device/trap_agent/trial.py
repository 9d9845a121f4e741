"""Two slots for bundles, and the trial that a new one has to pass: the state machine, without files or clocks.

A bundle that is installed becomes active at once, on trial until GOOD_WINDOWS windows were good. It is rolled back to
the other slot when a window is bad, or when MOST_STARTS starts of the agent did not lead there: so a bundle that
crashes the agent, or the board, is given up however it ends.
"""

import statistics
from typing import Literal

from pydantic import BaseModel, ConfigDict
from trap_contract.messages import Effort, Latency

GOOD_WINDOWS = 10
MOST_STARTS = 4
SLOWER = 5.0
"""So many times as long as with the bundle before is an explosion of the latency."""

Slot = Literal["a", "b"]


class Trial(BaseModel):
    """How far the active bundle's trial has come; medians of the latency in ms, one a good window."""

    model_config = ConfigDict(frozen=True)

    starts: int = 0
    latencies_ms: tuple[float, ...] = ()


class Slots(BaseModel):
    """What lies where: bundles by slot, as file names; what each took for a frame when it passed, in ms."""

    model_config = ConfigDict(frozen=True)

    active: Slot | None = None
    bundles: dict[Slot, str] = {}
    latency_ms: dict[Slot, float] = {}
    trial: Trial | None = None
    outcome: str = ""


def other(slot: Slot | None) -> Slot:
    """The slot that is not this one; the first where none is."""
    return "b" if slot == "a" else "a"


def emptied(slots: Slots, slot: Slot) -> Slots:
    """Without what lies in an inactive slot."""
    return slots.model_copy(
        update={
            "bundles": {name: file for name, file in slots.bundles.items() if name != slot},
            "latency_ms": {name: value for name, value in slots.latency_ms.items() if name != slot},
        }
    )


def installed(slots: Slots, bundle: str) -> Slots:
    """A bundle lies in the inactive slot: it becomes active, on trial."""
    slot = other(slots.active)
    bundles = {**slots.bundles, slot: bundle}
    return slots.model_copy(update={"active": slot, "bundles": bundles, "trial": Trial(), "outcome": ""})


def started(slots: Slots) -> Slots:
    """The agent is about to load the active bundle; to be kept before it does."""
    if slots.trial is None:
        return slots
    if slots.trial.starts >= MOST_STARTS:
        return rolled_back(slots, f"{MOST_STARTS} starts did not lead to {GOOD_WINDOWS} good windows")
    return slots.model_copy(update={"trial": slots.trial.model_copy(update={"starts": slots.trial.starts + 1})})


def observed(slots: Slots, effort: Effort, latency: Latency | None) -> Slots:
    """A window was closed; one in which no frame was analysed says nothing about the bundle."""
    if slots.trial is None or latency is None or effort.frames_analysed == 0:
        return slots
    before_ms = slots.latency_ms.get(other(slots.active))
    if before_ms is not None and latency.p50 > SLOWER * before_ms:
        return rolled_back(slots, f"a frame took {latency.p50:.0f} ms, with the bundle before {before_ms:.0f} ms")
    latencies_ms = (*slots.trial.latencies_ms, latency.p50)
    if len(latencies_ms) < GOOD_WINDOWS:
        return slots.model_copy(update={"trial": slots.trial.model_copy(update={"latencies_ms": latencies_ms})})
    return _passed(slots, statistics.median(latencies_ms))


def rolled_back(slots: Slots, why: str) -> Slots:
    """Back to the other slot, the failed bundle given up; without another bundle this one goes on, off trial."""
    assert slots.active is not None
    back, name = other(slots.active), slots.bundles[slots.active]
    if back not in slots.bundles:
        return slots.model_copy(update={"trial": None, "outcome": f"{name} failed, and nothing is there before: {why}"})
    without = emptied(slots, slots.active)
    return without.model_copy(update={"active": back, "trial": None, "outcome": f"{name} was rolled back: {why}"})


def _passed(slots: Slots, latency_ms: float) -> Slots:
    assert slots.active is not None
    kept = {**slots.latency_ms, slots.active: latency_ms}
    outcome = f"{slots.bundles[slots.active]} passed its trial"
    return slots.model_copy(update={"latency_ms": kept, "trial": None, "outcome": outcome})
