"""Trap-nights and deployments made to order for the exports."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from trap_contract.messages import AckRange, Lost, Window
from trap_server.exporting.metadata import ExportMetadata
from trap_server.exporting.rows import Row
from trap_server.nights import Deployment
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

from server.traps import BOOT, make_batch, make_window

NOON_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 12 * 3_600_000
NIGHT = dt.datetime.fromtimestamp(NOON_MS / 1000, dt.UTC).date()
NASTY = "=cmd()|\"a\", 'b';\n\tÑandú 蚊 -@"

METADATA = ExportMetadata(
    title=f"Season, {NASTY}",
    publisher="Vector Control, Ñuñoa",
    contact="counts@example.org",
    licence="CC-BY-4.0",
    taxon="Culicidae",
    taxon_rank="family",
    software_version="0.1.0",
    created_at_ms=NOON_MS + 10 * 86_400_000,
    accuracy={"pico@0123456789abcdef": "mAP50 0.91 on 300 pictures"},
)


def make_place(trap: str = "t1", **changes: Any) -> Deployment:
    values: dict[str, Any] = {
        "trap": trap,
        "tenant": "demo",
        "site": "s1",
        "name": NASTY,
        "latitude": -1.29,
        "longitude": 36.82,
        "timezone": "Africa/Nairobi",
        "bait": "BG-Lure, CO2",
        "trap_type": "BG-Sentinel",
        "begins_ms": NOON_MS - 86_400_000,
    }
    return Deployment(**(values | changes))


def make_night(counts: dict[str, int] | None, day: int = 0, trap: str = "t1", **changes: Any) -> Row:
    """A night of arrivals; `counts=None` when nothing was observed."""
    begins_ms = NOON_MS + day * 86_400_000
    observed_s = 0.0 if counts is None else 80_000.5
    values: dict[str, Any] = {
        "tenant": "demo",
        "trap": trap,
        "site": "s1",
        "begins_ms": begins_ms,
        "ends_ms": begins_ms + 86_400_000,
        "semantics": "arrivals",
        "counts": counts,
        "statistic": "sum",
        "observed_s": observed_s,
        "night": NIGHT + dt.timedelta(days=day),
        "boundary": "solar",
        "expected_s": 86_400.0,
        "lost_s": 0.0,
        "coverage": observed_s / 86_400,
        "problem": counts is None,
        "models": ("pico@0123456789abcdef",),
        "thresholds": (0.35,),
        "windows": 1440,
        "deployed_ms": NOON_MS - 86_400_000,
    }
    return Row(**(values | changes))


NIGHTS = [
    make_night({"Female": 12, "Male": 0, "Out of Focus": 3}),
    make_night({"Female": 0, "Male": 0, "Out of Focus": 0}, day=1),
    make_night(None, day=2),
    make_night({"Female": 5, "Male": 2, "Out of Focus": 0}, day=3, semantics="occupancy", statistic="peak",
               clock_repaired=True, problem=True),
]  # fmt: skip


def caught(seq: int, after_h: float, females: int | None = 3, **changes: Any) -> Window:
    """A window of arrivals, so many hours after noon UTC."""
    wall_ms = NOON_MS + round(after_h * 3_600_000)
    return make_window(seq, females, wall_ms=wall_ms, **({"semantics": "arrivals"} | changes))


def lose(engine: sa.Engine, first: int, last: int, trap: str = "t1", boot: str = BOOT) -> None:
    """A trap's word, as ingest takes it, that its windows first to last are gone for good."""
    lost = Lost(trap=trap, ranges=(AckRange(boot=boot, first=first, last=last),), reason="outbox_full")
    Store(engine, "c").commit(
        sort_arrivals([Arrival(f"mt/v1/demo/{trap}/lost", lost.model_dump_json().encode(), False, 1)])
    )


def keep(engine: sa.Engine, *windows: Window, trap: str = "t1") -> None:
    """Into the database, as ingest does it."""
    arrival = Arrival(f"mt/v1/demo/{trap}/counts", make_batch(windows, trap), False, 1)
    Store(engine, "c").commit(sort_arrivals([arrival]))
