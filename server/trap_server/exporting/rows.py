"""What every export is made of: counted stretches of time, and where each trap stood; pure."""

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal
from zoneinfo import ZoneInfo

from trap_contract.messages import Semantics

from trap_server.nights import Deployment, Hour, TrapNight, hour_counts

HOUR_MS = 3_600_000
Statistic = Literal["sum", "peak", "median"]
Sex = Literal["female", "male", "unknown"]
MEANINGS: dict[Statistic, str] = {
    "sum": "individuals caught, sum over the period",
    "peak": "individuals in the picture at once, largest hourly median of the night, not a catch",
    "median": "individuals in the picture at once, median over the period, not a catch",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What one trap counted in one stretch of time; `counts` is None when nothing was observed, which is not zero.

    `night` is the local date on which a trap-night began, and `boundary` how its noon was found; both are None for
    windows and hours, as are `expected_s`, `coverage` (0..1) and `problem`; `lost_s` is None for windows.
    `deployed_ms` tells the deployment by its begin.
    """

    tenant: str
    trap: str
    site: str
    begins_ms: int
    ends_ms: int
    semantics: Semantics
    counts: dict[str, int] | None
    statistic: Statistic
    observed_s: float
    night: dt.date | None = None
    boundary: str | None = None
    expected_s: float | None = None
    lost_s: float | None = None
    coverage: float | None = None
    problem: bool | None = None
    models: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    clock_repaired: bool = False
    windows: int = 1
    deployed_ms: int | None = None

    @property
    def key(self) -> str:
        """A name for this trap, period and way of counting, unique within an export."""
        parts = (self.tenant, self.trap, self.night or self.begins_ms, self.semantics, self.deployed_ms)
        return ":".join(str(part) for part in parts if part is not None)

    @property
    def effort(self) -> str:
        """Effort in words."""
        due = "" if self.expected_s is None else f" of {self.expected_s:.0f} s due"
        lost = "" if self.lost_s is None else f", {self.lost_s:.0f} s lost"
        return f"{self.observed_s:.0f} s observed{due}{lost}"

    @property
    def models_text(self) -> str:
        """Models that counted, joined by |."""
        return " | ".join(self.models)

    @property
    def thresholds_text(self) -> str:
        """Score thresholds, joined by |."""
        return " | ".join(f"{one:g}" for one in self.thresholds)

    @property
    def is_catch(self) -> bool:
        """Whether the number is a catch, and so may be summed."""
        return self.statistic == "sum"


def of_night(night: TrapNight) -> Row:
    """A trap-night."""
    return Row(
        tenant=night.tenant,
        trap=night.trap,
        site=night.site,
        begins_ms=night.begins_ms,
        ends_ms=night.ends_ms,
        semantics=night.semantics,
        counts=night.counts,
        statistic=night.statistic,
        observed_s=night.observed_s,
        night=night.night,
        boundary=night.boundary,
        expected_s=night.expected_s,
        lost_s=night.lost_s,
        coverage=night.coverage,
        problem=night.problem,
        models=night.models,
        thresholds=night.thresholds,
        clock_repaired=night.clock_repaired,
        windows=night.windows,
        deployed_ms=night.deployed_ms,
    )


def of_hour(hour: Hour) -> Row:
    """An hour."""
    return Row(
        tenant=hour.tenant,
        trap=hour.trap,
        site=hour.site,
        begins_ms=hour.hour_ms,
        ends_ms=hour.hour_ms + HOUR_MS,
        semantics=hour.semantics,
        counts=hour_counts(hour),
        statistic=statistic_of(hour.semantics),
        observed_s=hour.observed_ms / 1000,
        lost_s=hour.lost_ms / 1000,
        models=hour.models,
        thresholds=hour.thresholds,
        clock_repaired=hour.clock_repaired,
        windows=hour.windows,
        deployed_ms=hour.deployed_ms,
    )


def statistic_of(semantics: Semantics) -> Statistic:
    """What the number of a window or an hour is."""
    return "median" if semantics == "occupancy" else "sum"


@dataclass(slots=True)
class Places:
    """Finds the deployment that a row belongs to."""

    deployments: Collection[Deployment] = ()
    _by_trap: dict[tuple[str, str], list[Deployment]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_trap = {}
        for one in self.deployments:
            self._by_trap.setdefault((one.tenant, one.trap), []).append(one)

    def of(self, row: Row) -> Deployment | None:
        """The deployment that the row names, else the one that stood when its time began; None without one."""
        own = self._by_trap.get((row.tenant, row.trap), [])
        if row.deployed_ms is not None:
            return next((one for one in own if one.begins_ms == row.deployed_ms), None)
        return next((one for one in own if one.holds(row.begins_ms)), None)


def model_name(model_id: str, sha256: str) -> str:
    """How rows name a model: two files can have one id."""
    return f"{model_id}@{sha256[:16]}"


def counted(row: Row) -> Iterable[tuple[str, int | None]]:
    """Every class with its count, zeros too; one nameless class without a count when nothing was observed."""
    return row.counts.items() if row.counts else [("", None)]


def sex_of(class_name: str) -> Sex:
    """The sex that a class of the model says; unknown for all that is neither."""
    name = class_name.strip().lower()
    return "female" if name == "female" else "male" if name == "male" else "unknown"


def utc(moment_ms: int) -> dt.datetime:
    """Milliseconds since 1970 as a time that knows its zone."""
    return dt.datetime.fromtimestamp(moment_ms / 1000, dt.UTC)


def local(moment_ms: int, place: Deployment | None) -> dt.datetime:
    """The moment by the clock of the place; UTC where the place or its timezone is not known."""
    return utc(moment_ms).astimezone(ZoneInfo(place.timezone)) if place and place.timezone else utc(moment_ms)


def iso(moment: dt.datetime) -> str:
    """ISO 8601 with an offset, Z for UTC; to the second, or the millisecond where there is one."""
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
