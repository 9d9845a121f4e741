"""What windows weigh: bytes on the wire, and on the disk of SQLite and PostgreSQL, raw and rolled up.

Windows of a minute, as the simulated traps of `trap-fleet simulate` say them, go through the real store into both
databases in turn, a day of all traps at a time, and are rolled up; then the databases are compacted (VACUUM) and
weighed, table by table with its indexes. What goes away with the raw windows when retention takes them is `windows`;
what stays for good are `hours` and `nights`.

What it shows: bytes a window, an hour and a night, and from these what a fleet needs in a year. What it does not
show: the slack of a database that is written all the time, write-ahead logs, evidence crops (they have a budget of
their own), or how fast anything is: that is `benchmarks/ingest.py`.
"""

import argparse
import json
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from trap_contract.topics import TrapAddress
from trap_server.database import open_database
from trap_server.simulation.trap import SimulatedTrap
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the tests' PostgreSQL server

from postgres_server import NEEDED, running_postgres  # noqa: E402

BEGIN_MS = 1_767_268_800_000  # 2026-01-01, noon
MINUTES = 24 * 60
REPLAY = 60
TABLES = ("windows", "hours", "nights")
FLEETS = (10, 1_000, 100_000)
KEPT_DAYS = 90


Sizes = Callable[[sa.Engine], tuple[dict[str, int], int]]
"""Bytes by table, and of the whole database, once it is compacted."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Bytes of each table with its indexes, and of the whole database, empty and filled."""

    tables: dict[str, int]
    empty: int
    filled: int


def main() -> None:
    """Fill, weigh, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traps", type=int, default=10)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    fleet = [simulated(number, flags.days) for number in range(flags.traps)]
    with tempfile.TemporaryDirectory() as place:
        found = {"sqlite": weigh(f"sqlite:///{place}/counts.db", fleet, flags.days, of_sqlite)}
        if all(shutil.which(name) for name in NEEDED):
            with running_postgres() as server:
                found["postgresql"] = weigh(server.empty(), fleet, flags.days, of_postgres)
    result = {
        "traps": flags.traps,
        "days": flags.days,
        "wire": wire(fleet[0]),
        "databases": {name: per_row(one, flags.traps, flags.days) for name, one in found.items()},
        "sqlite": sqlite3.sqlite_version,
        "python": platform.python_version(),
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
    }
    print(json.dumps(result) if flags.json else as_table(result))


def simulated(number: int, days: int) -> SimulatedTrap:
    """A trap that has counted for so many days."""
    trap = SimulatedTrap(TrapAddress("demo", f"t{number}"), number, most_held=10**9)
    trap.begin_boot(f"{number + 1:032x}", BEGIN_MS)
    trap.count(BEGIN_MS + days * MINUTES * 60_000)
    return trap


def wire(trap: SimulatedTrap) -> dict[str, float]:
    """Bytes of a window's payload: alone in its message, and among 60 of a replay."""
    alone = [len(trap.payload(trap.boots[0], seq, seq)) for seq in range(1, MINUTES)]
    together = len(trap.payload(trap.boots[0], 1, REPLAY)) / REPLAY
    return {"alone": sum(alone) / len(alone), "replayed": together}


def weigh(url: str, fleet: list[SimulatedTrap], days: int, sizes: Sizes) -> Weights:
    """A database with these traps' days in it."""
    engine = open_database(url)
    _, empty = sizes(engine)
    store = Store(engine, "benchmark")
    for day in range(days):
        for trap in fleet:
            spans = range(day * MINUTES + 1, (day + 1) * MINUTES + 1, REPLAY)
            payloads = (trap.payload(trap.boots[0], first, first + REPLAY - 1) for first in spans)
            store.commit(sort_arrivals([Arrival(trap.address.topic("counts"), one, False, 1) for one in payloads]))
        while store.roll_up():
            pass
        print(f"\r{engine.dialect.name}: day {day + 1} of {days}   ", end="", file=sys.stderr)
    tables, filled = sizes(engine)
    engine.dispose()
    return Weights(tables, empty, filled)


def of_sqlite(engine: sa.Engine) -> tuple[dict[str, int], int]:
    """Bytes by table, and of the file, after VACUUM."""
    file = Path(engine.url.database or "")
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        of = "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)"
        tables = {name: connection.execute(of, (name,)).fetchone()[0] for name in TABLES}
    return tables, file.stat().st_size


def of_postgres(engine: sa.Engine) -> tuple[dict[str, int], int]:
    """The same of PostgreSQL, after VACUUM FULL."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:  # VACUUM runs in none
        connection.exec_driver_sql("VACUUM FULL")
        size = sa.func.pg_total_relation_size
        tables = {name: connection.execute(sa.select(size(name))).scalar_one() for name in TABLES}
        whole = connection.execute(sa.select(sa.func.pg_database_size(sa.func.current_database()))).scalar_one()
    return tables, whole


def per_row(found: Weights, traps: int, days: int) -> dict[str, float]:
    """Bytes of one row of each table, and of everything that a window brought."""
    counts = {"windows": traps * days * MINUTES, "hours": traps * days * 24, "nights": traps * days}
    rows = {name: found.tables[name] / count for name, count in counts.items()}
    return rows | {"whole": (found.filled - found.empty) / counts["windows"]}


def as_table(result: dict[str, Any]) -> str:
    """Bytes, then by calculation what fleets need."""
    alone, replayed = result["wire"]["alone"], result["wire"]["replayed"]
    lines = [f"payload on the wire: {alone:.0f} bytes a window, {replayed:.0f} of it in a replay of {REPLAY}"]
    for name, one in result["databases"].items():
        rows = ", ".join(f"{one[table]:.0f} a row of {table}" for table in TABLES)
        lines.append(f"{name}: {rows}; {one['whole']:.0f} a window in all")
    lines.append(f"\nby calculation, windows of a minute, raw ones kept for {KEPT_DAYS} days:")
    for traps in FLEETS:
        need = ", ".join(f"{name} {gigabytes(one, traps)}" for name, one in result["databases"].items())
        month_mb = traps * MINUTES * alone * 30 / 1e6
        lines.append(f"{traps:>7} traps: {traps / 60:,.1f} windows/s, {month_mb:,.0f} MB a month of payload; {need}")
    versions = f"SQLite {result['sqlite']}, python {result['python']}, {result['machine']}"
    sample = f"{result['traps']} traps, {result['days']} days"
    return "\n".join([*lines, f"\n{sample}; {versions}", " ".join(sys.argv)])


def gigabytes(one: dict[str, float], traps: int) -> str:
    """Raw windows, and what a year of roll-ups adds."""
    raw = one["windows"] * traps * MINUTES * KEPT_DAYS / 1e9
    year = (one["hours"] * 24 + one["nights"]) * 365 * traps / 1e9
    return f"{raw:,.1f} GB + {year:,.2f} GB a year"


if __name__ == "__main__":
    main()
