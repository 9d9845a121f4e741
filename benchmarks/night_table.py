"""How long the night table and a trap's hours take, beside the number of stored windows.

Databases of more and more windows are filled through the real store: up to ten traps that count in windows of a minute,
rolled up as ingest does. Each question is asked through `trap_server.rollups`, as the API asks it, many times; the same
questions are put to the raw windows, from scratch, where that takes less than a minute.

  nights     one night of every trap
  year       every night of one trap
  page       a page of 1,000 of all nights
  hours      every hour of one trap
  scratch    one night of every trap, from its windows (what the roll-up spares)

What it shows: SQLite, a warm file cache, one reader. What it does not show: PostgreSQL, writers at the same time, or
the writing of JSON to a browser. `--table 1000x365` fills the roll-up tables themselves instead, for a fleet's year.
"""

import argparse
import json
import os
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from trap_contract.topics import TrapAddress
from trap_server import schema
from trap_server.database import open_database, open_for_reading
from trap_server.rollups import keeping, reading
from trap_server.rollups.building import HOUR_MS, Counted, Standing, build_hours, build_nights
from trap_server.simulation.trap import CLASSES, SimulatedTrap
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

BEGIN_MS = 1_767_268_800_000  # 2026-01-01, noon
DAY_MS = 24 * HOUR_MS
MINUTE_MS = 60_000
PART = 20_000
LABELS = {
    "nights": "one night of every trap",
    "year": "every night of one trap",
    "page": "a page of 1,000 nights",
    "hours": "every hour of one trap",
    "scratch": "one night of every trap,\nfrom its windows",
}


def main() -> None:
    """Measure and print a table or JSON; draw the plot if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, nargs="+", default=[10**4, 10**5, 10**6], help="sizes to measure")
    parser.add_argument("--table", metavar="TRAPSxNIGHTS", help="instead: roll-ups alone, of so many")
    parser.add_argument("--times", type=int, default=15, help="each question, after once to warm up")
    parser.add_argument("--plot", type=Path, help="draw time against windows here (PNG; needs matplotlib)")
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if flags.table:
            traps, nights = (int(part) for part in flags.table.split("x"))
            rows = [of_tables(Path(place), traps, nights, flags.times)]
        else:
            rows = [of_windows(Path(place), count, flags.times) for count in flags.windows]
    result = {"sizes": rows, "sqlite": sqlite3.sqlite_version, "python": platform.python_version()}
    result |= {"machine": f"{platform.platform()}, {os.cpu_count()} cores, {processor()}"}
    print(json.dumps(result) if flags.json else as_table(result))
    if flags.plot:
        plot(rows, flags.plot)


def of_windows(folder: Path, count: int, times: int) -> dict[str, Any]:
    """Fill a database with windows of up to ten traps, a week of each at least, roll up, ask."""
    url = f"sqlite:///{folder / f'{count}.db'}"
    engine = open_database(url)
    store, traps = Store(engine, "benchmark"), max(1, min(10, count // 10_000))
    each = count // traps
    for number in range(traps):
        trap = SimulatedTrap(TrapAddress("demo", f"t{number}"), number, window_ms=MINUTE_MS, most_held=10**9)
        trap.begin_boot(f"{number + 1:032x}", BEGIN_MS)
        for first in range(1, each + 1, PART):
            last = min(each, first + PART - 1)
            payloads = (trap.payload(trap.boots[0], at, min(at + 59, last)) for at in range(first, last + 1, 60))
            store.commit(sort_arrivals([Arrival(trap.address.topic("counts"), one, False, 1) for one in payloads]))
            note(f"{count}: {number * each + last} windows stored")
    while store.roll_up():
        pass
    days = each * MINUTE_MS // DAY_MS
    found = asked(url, times, BEGIN_MS + days // 2 * DAY_MS, f"t{traps // 2}")
    if count <= 10**6:
        found["scratch"] = timed(url, lambda connection: from_windows(connection, BEGIN_MS + days // 2 * DAY_MS), 3)
    return {"windows": count, "traps": traps, "nights": days, "file_mb": size_mb(engine)} | {"questions": found}


def of_tables(folder: Path, traps: int, nights: int, times: int) -> dict[str, Any]:
    """Fill the roll-ups of every trap: all of them those of one year, so that a thousand are filled in minutes."""
    url = f"sqlite:///{folder / 'table.db'}"
    engine = open_database(url)
    year = build_hours(a_year(nights), Standing([]))
    for number in range(traps):
        hours = [hour._replace(trap=f"t{number}") for hour in year]
        with engine.begin() as connection:
            keeping.keep(connection, hours, build_nights(hours, Standing([])).values())
        note(f"{number + 1} of {traps} traps")
    found = asked(url, times, BEGIN_MS + nights // 2 * DAY_MS, f"t{traps // 2}")
    return {"windows": None, "traps": traps, "nights": nights, "file_mb": size_mb(engine)} | {"questions": found}


def a_year(nights: int) -> Iterator[Counted]:
    """A window a minute; counts that make every hour unlike the others, which is the hardest to read."""
    rng = random.Random(1)  # noqa: S311  counts, not secrets
    for at_ms in range(BEGIN_MS, BEGIN_MS + nights * DAY_MS, MINUTE_MS):
        counts = {name: rng.randrange(1, most) for name, most in zip(CLASSES, (9, 5, 2, 3, 2), strict=True)}
        yield Counted("demo", "t", at_ms, "occupancy", counts, 60.0, "m@1", 0.35, repaired=False)


def asked(url: str, times: int, moment_ms: int, trap: str) -> dict[str, list[float]]:
    """Milliseconds of each answer to each question."""
    night = time.strftime("%Y-%m-%d", time.gmtime(moment_ms / 1000))
    one_night = reading.Asked(since=night, until=night)
    questions: dict[str, Callable[[sa.Connection], object]] = {
        "nights": lambda connection: list(reading.nights(connection, one_night)),
        "year": lambda connection: list(reading.nights(connection, reading.Asked("demo", trap))),
        "page": lambda connection: list(islice(reading.nights(connection, reading.Asked()), 1000)),
        "hours": lambda connection: list(reading.hours(connection, reading.Asked("demo", trap))),
    }
    return {name: timed(url, question, times) for name, question in questions.items()}


def timed(url: str, question: Callable[[sa.Connection], object], times: int) -> list[float]:
    """Milliseconds of each time."""
    engine, found = open_for_reading(url), []
    for number in range(times + 1):
        began = time.perf_counter()
        with engine.begin() as connection:
            question(connection)
        if number:
            found.append(1000 * (time.perf_counter() - began))
    engine.dispose()
    return found


def from_windows(connection: sa.Connection, begin_ms: int) -> object:
    """One night of every trap, from its windows."""
    traps = connection.execute(sa.select(schema.traps.c.tenant, schema.traps.c.trap)).all()
    hours = [(tenant, trap, at) for tenant, trap in traps for at in range(begin_ms, begin_ms + DAY_MS, HOUR_MS)]
    return keeping.rebuild(connection, hours)


def size_mb(engine: sa.Engine) -> float:
    """Of the database's file."""
    return Path(engine.url.database or "").stat().st_size / 2**20


def note(text: str) -> None:
    """Where it is, on standard error."""
    print(f"\r{text}   ", end="", file=sys.stderr)


def as_table(result: dict[str, Any]) -> str:
    """The result for people: the middle, and the span, of every answer."""
    lines = []
    for row in result["sizes"]:
        lines.append(
            f"{row['windows'] or '-'} windows, {row['traps']} traps, {row['nights']} nights, {row['file_mb']:.0f} MB"
        )
        for name, found in row["questions"].items():
            lines.append(f"  {name:<8}{statistics.median(found):>9.1f} ms  ({min(found):.1f} to {max(found):.1f})")
    return "\n".join(
        [*lines, f"SQLite {result['sqlite']}, python {result['python']}, {result['machine']}", " ".join(sys.argv)]
    )


def plot(rows: list[dict[str, Any]], out: Path) -> None:
    """Time against windows, both by powers of ten."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.8))
    for name, label in LABELS.items():
        points = [(row["windows"], row["questions"][name]) for row in rows if name in row["questions"]]
        middles = [statistics.median(found) for _, found in points]
        below = [middle - min(found) for middle, (_, found) in zip(middles, points, strict=True)]
        above = [max(found) - middle for middle, (_, found) in zip(middles, points, strict=True)]
        sizes = [size for size, _ in points]
        axes.errorbar(sizes, middles, [below, above], marker="o", capsize=3, label=label)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="windows stored (up to ten traps)",
        ylabel="ms: the middle, and the span, of all times",
        title="Cost of an answer against rows (SQLite)",
    )
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=120)


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
