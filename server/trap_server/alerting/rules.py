"""What is wrong with a trap: limits with hysteresis over the facts of one moment; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from trap_server.alerting.statistics import population_stability, robust_z
from trap_server.trap_record import Status

Kind = Literal[
    "silent", "coverage", "clock", "temperature", "disk", "sharpness", "count", "season", "drift",
]  # fmt: skip
Level = Literal["bad", "between", "fine", "unknown"]
SHARPNESS_NEEDED = 20


@dataclass(frozen=True, slots=True)
class Limit:
    """Bad from `raise_at` on, fine again only from `clear_at` on; which way is up follows from their order."""

    raise_at: float
    clear_at: float

    def level(self, value: float | None) -> Level:
        """Where a value stands; between the two an alert stays as it is."""
        if value is None:
            return "unknown"
        sign = 1 if self.raise_at > self.clear_at else -1
        if sign * value >= sign * self.raise_at:
            return "bad"
        return "fine" if sign * value <= sign * self.clear_at else "between"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator finds too much or too little; `count` is None where no number is too large."""

    coverage: Limit = Limit(0.5, 0.7)
    temperature: Limit = Limit(80.0, 75.0)
    disk_mb: Limit = Limit(200.0, 400.0)
    sharpness: Limit = Limit(0.5, 0.7)
    count: Limit | None = None
    season: Limit = Limit(3.5, 2.5)
    drift: Limit = Limit(0.25, 0.1)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one trap now; None where nothing is.

    `coverage` and `count` (of mosquitoes of all classes: caught, or at once) are of the last hour, from windows that
    came in time: a replay is no news. `nights` are the catches of past nights, oldest first, the last one judged
    against the others. `sharpness` are values of the last day and of before; `scores` mean scores of windows, too.
    """

    tenant: str
    trap: str
    status: Status
    coverage: float | None = None
    count: float | None = None
    clock_synced: bool | None = None
    soc_celsius: float | None = None
    disk_free_mb: float | None = None
    outbox_on_disk: bool | None = None
    sharpness: Sequence[float] = ()
    sharpness_before: Sequence[float] = ()
    nights: Sequence[float] = ()
    scores: Sequence[float] = ()
    scores_before: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says of one trap."""

    tenant: str
    trap: str
    kind: Kind
    level: Level
    value: float | None
    text: str = field(compare=False)


def judge(facts: Facts, limits: Limits) -> Iterator[Finding]:
    """Every rule's word."""
    for kind, level, value, text in _judged(facts, limits):
        yield Finding(facts.tenant, facts.trap, kind, level, value, f"{facts.tenant}/{facts.trap}: {text}")


_Judgement = tuple[Kind, Level, float | None, str]


def _judged(facts: Facts, limits: Limits) -> Iterator[_Judgement]:
    yield _silent(facts)
    yield _clock(facts)
    yield _disk(facts, limits.disk_mb)
    measured: tuple[tuple[Kind, Limit | None, float | None, str], ...] = (
        ("coverage", limits.coverage, facts.coverage, "{:.0%} of the last hour was observed"),
        ("temperature", limits.temperature, facts.soc_celsius, "the processor has {:.0f} degrees Celsius"),
        ("sharpness", limits.sharpness, _sharpness(facts), "pictures have {:.0%} of their sharpness of before"),
        ("count", limits.count, facts.count, "{:.0f} mosquitoes in the last hour"),
        ("season", limits.season, _season(facts), "last night's catch is {:.1f} robust deviations above its season"),
        ("drift", limits.drift, population_stability(facts.scores_before, facts.scores),
         "scores have moved, population stability index {:.2f}"),
    )  # fmt: skip
    for kind, limit, value, text in measured:
        if limit is not None:
            yield kind, limit.level(value), value, "not known" if value is None else text.format(value)


def _silent(facts: Facts) -> _Judgement:
    """A trap that says itself that it stops is no alarm."""
    levels: dict[Status, Level] = {"silent": "bad", "offline": "bad", "online": "fine", "stopped": "fine"}
    return "silent", levels.get(facts.status, "unknown"), None, f"the trap is {facts.status}"


def _clock(facts: Facts) -> _Judgement:
    if facts.clock_synced is None:
        return "clock", "unknown", None, "nothing is known of its clock"
    level: Level = "fine" if facts.clock_synced else "bad"
    return "clock", level, None, "its clock is right" if facts.clock_synced else "its clock is not synchronised"


def _disk(facts: Facts, limit: Limit) -> _Judgement:
    free_mb = facts.disk_free_mb
    if facts.outbox_on_disk is False:
        return "disk", "bad", free_mb, "its disk takes nothing: a power cut would cost the windows that it holds"
    return (
        "disk",
        limit.level(free_mb),
        free_mb,
        "not known" if free_mb is None else f"{free_mb:.0f} MB of disk are free",
    )


def _sharpness(facts: Facts) -> float | None:
    """Sharpness now as a share of before."""
    if not facts.sharpness or len(facts.sharpness_before) < SHARPNESS_NEEDED:
        return None
    before = median(facts.sharpness_before)
    return median(facts.sharpness) / before if before > 0 else None


def _season(facts: Facts) -> float | None:
    return robust_z(facts.nights[-1], facts.nights[:-1]) if facts.nights else None
