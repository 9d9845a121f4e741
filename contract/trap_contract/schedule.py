"""Hours in which a trap looks; between them it sleeps. They are those of a named time zone."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from typing import Self
from zoneinfo import ZoneInfo

from trap_contract.errors import ConfigError

FORM = "'18:00-06:30 Europe/Madrid', several spans divided by commas"

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Spans of the local day, each from its begin until just before its end; one may pass midnight."""

    spans: tuple[tuple[time, time], ...]
    zone: tzinfo

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read FORM. Raises ConfigError for anything else, and for a time zone that this system does not know."""
        hours, _, zone = text.strip().partition(" ")
        spans = tuple(_span(part) for part in hours.split(","))
        return cls(spans, _zone(zone.strip()))

    def is_open(self, wall_ms: int) -> bool:
        """Whether to look at this time (UTC milliseconds)."""
        clock = datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone(self.zone).time()
        return any(begin <= clock < end if begin < end else clock >= begin or clock < end for begin, end in self.spans)


def _span(text: str) -> tuple[time, time]:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ConfigError(f"hours {text!r} are malformed: write {FORM}")
    hours = [int(group) for group in found.groups()]
    begin, end = time(hours[0], hours[1]), time(hours[2], hours[3])
    if begin == end:
        raise ConfigError(f"hours {text!r} end when they begin: leave the schedule out to look always")
    return begin, end


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if not name:
        raise ConfigError(f"the hours need a time zone: write {FORM}, or UTC")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"time zone {name!r} is not known here: write one such as Europe/Madrid, or UTC; "
            "zones come with the system's package tzdata"
        ) from error
