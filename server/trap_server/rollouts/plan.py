"""Who gets a bundle when, and what stops it: the plan of a rollout, and which ring a trap belongs to. Pure."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from trap_contract.errors import ConfigError
from trap_contract.topics import NAME_PATTERN, TrapAddress

HOUR_S = 3600
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)%")
_NAMES = re.compile(rf"{NAME_PATTERN}(,{NAME_PATTERN})*")

Ring = Annotated[str, StringConstraints(max_length=4096)]
"""`10%`: so much of the fleet, the rings before it included; or `roof-1,roof-2`: these traps."""


class Gate(BaseModel):
    """What a trap's new counts are held against; each limit is one that a model of the same worth never meets."""

    model_config = ConfigDict(frozen=True)

    windows: Annotated[int, Field(ge=1, le=10_000, description="with the new model, before it is judged")] = 10
    before_s: Annotated[int, Field(ge=60, description="how much of the time before is compared")] = 2 * HOUR_S
    coverage_drop: Annotated[float, Field(gt=0, le=1, description="most of the observed share that may be lost")] = 0.2
    shift: Annotated[float, Field(gt=1, description="most by which mean counts may multiply or divide")] = 2.5
    distribution: Annotated[float, Field(gt=0, description="most population stability index of a ring's counts")] = 0.25
    celsius: Annotated[float, Field(description="hottest median of the processor")] = 80.0
    celsius_rise: Annotated[float, Field(gt=0, description="most by which that may rise")] = 12.0


class Plan(BaseModel):
    """How a bundle spreads."""

    model_config = ConfigDict(frozen=True)

    rings: Annotated[tuple[Ring, ...], Field(min_length=1, max_length=20)] = ("1%", "10%", "100%")
    per_minute: Annotated[float, Field(gt=0, le=100_000, description="most traps that are told in a minute")] = 30.0
    soak_s: Annotated[int, Field(ge=0, description="how long a trap is watched before it counts as well")] = 2 * HOUR_S
    abort_share: Annotated[float, Field(ge=0, lt=1, description="more unwell traps of a ring than this end it")] = 0.1
    reach_share: Annotated[float, Field(gt=0, le=1, description="so many of a ring must be well for the next")] = 0.8
    days: Annotated[float, Field(gt=0, le=365, description="until its deadline, from its start")] = 7.0
    gate: Gate = Gate()

    @model_validator(mode="after")
    def _rings_grow(self) -> Self:
        shares = [share for share in map(share_of, self.rings) if share is not None]
        if any(after <= before for before, after in pairwise(shares)):
            raise ValueError("each ring's share must be larger than the one before: a share has the rings before in it")
        if len(set(self.rings)) != len(self.rings):
            raise ValueError("a ring is there twice")
        return self

    @property
    def deadline_after_ms(self) -> int:
        """From its start."""
        return round(self.days * 24 * HOUR_S * 1000)


def share_of(ring: str) -> float | None:
    """The share of the fleet that a ring names, None for a list of traps. Raises ValueError."""
    found = _SHARE.fullmatch(ring)
    if found is not None and 0 < float(found[1]) <= 100:
        return float(found[1]) / 100
    if _NAMES.fullmatch(ring):
        return None
    raise ValueError(f"ring {ring!r}: write a share as 10%, or traps as roof-1,roof-2")


def assign(addresses: Iterable[TrapAddress], rings: Sequence[str], seed: str) -> dict[TrapAddress, int]:
    """The ring of each trap, by number from 0; traps of no ring are absent.

    Named traps are in the ring that names them first; the others are drawn in an order that `seed` decides.
    Raises ConfigError for a name that no trap has.
    """
    known = sorted(set(addresses), key=lambda one: hashlib.sha256(f"{seed}/{one.tenant}/{one.trap}".encode()).digest())
    by_name = {one.trap: [other for other in known if other.trap == one.trap] for one in known}
    ring_of: dict[TrapAddress, int] = {}
    for number, ring in enumerate(rings):
        share = share_of(ring)
        if share is None:
            unknown = [name for name in ring.split(",") if name not in by_name]
            if unknown:
                raise ConfigError(f"ring {ring!r}: no trap {', '.join(unknown)} was ever heard of: see /api/v1/traps")
            chosen = [one for name in ring.split(",") for one in by_name[name]]
        else:
            free = [one for one in known if one not in ring_of]
            chosen = free[: max(0, _rounded_up(share * len(known)) - len(ring_of))]
        for one in chosen:
            ring_of.setdefault(one, number)
    return ring_of


def _rounded_up(number: float) -> int:
    """The smallest whole number that is not below it, a rounding error aside: a share never draws nobody."""
    return -int(-(number - 1e-9) // 1)
