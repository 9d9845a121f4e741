"""How fast the first page is there, and what open pages cost the collector: real server, broker, database, Chromium.

The database holds a fleet of N traps: a year of trap-nights, and a day of windows of ten minutes each. Forty traps are
stored and rolled up as ingest does it; the rows of the others are copies of theirs. Then, in one run:

  first paint   the fleet page in a fresh Chromium context each time, nothing cached: first contentful paint, the time
                until every trap stands in the table, and the compressed bytes of all answers: the page with its code,
                map and font, and the fleet's own numbers
  open pages    messages at 17 a second, first with no page and then with 50 event streams open, in turns: seconds from
                publish to acknowledgement, and the processor time of ingest for a message

What it does not show: a network between browser and server, fifty browsers that also draw (they would share these
cores, and do not in life), windows of a whole year one by one.
"""

import argparse
import json
import multiprocessing
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from rich.console import Console
from rich.progress import track

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the tests' broker and traps

from brokers import running_broker  # noqa: E402
from server.traps import FakeTrap, make_batch, make_birth, make_window  # noqa: E402
from trap_deploy.children import hears_broker  # noqa: E402
from trap_deploy.ports import free_port  # noqa: E402
from trap_server import deployments, schema  # noqa: E402
from trap_server.accounts import front_door, people  # noqa: E402
from trap_server.api.entry import COOKIE  # noqa: E402
from trap_server.database import open_database  # noqa: E402
from trap_server.nights import Deployment  # noqa: E402
from trap_server.rollups import keeping  # noqa: E402
from trap_server.sorting import Arrival, sort_arrivals  # noqa: E402
from trap_server.store import Store  # noqa: E402
from waiting import until  # noqa: E402

DAY_MS = 24 * 3600_000
STEP_MS = 600_000
ORIGINALS = 40
RATE = 17
PAGES = 50
DONE = "() => document.querySelectorAll('#rows tr').length >= {n}"
MAP = "() => performance.getEntriesByType('resource').some((one) => one.name.endsWith('outlines.json'))"
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
BYTES = """() => performance.getEntries().reduce(([page, data], one) => {
    const bytes = one.encodedBodySize || 0;
    return one.name.includes('/api/') ? [page, data + bytes] : [page + bytes, data];
}, [0, 0])"""


def now_ms() -> int:
    """By the machine's clock."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """One visit of the first page: ms, ms, bytes of the page and of the fleet's numbers."""

    first_paint_ms: float
    complete_ms: float
    page_bytes: int
    data_bytes: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Half a minute of messages: seconds to their acknowledgements, and ms of ingest's processor time for each."""

    pages: int
    ack_s: float
    cpu_ms: float


def fill(engine: sa.Engine, traps: int) -> None:
    """A fleet with its places, a day of windows, and a year of nights."""
    now = now_ms() // STEP_MS * STEP_MS
    with engine.begin() as connection:
        for number in range(traps):
            deployments.add(connection, _place(number, now))
    originals = range(min(traps, ORIGINALS))
    for number in originals:
        _store_a_day(Store(engine, "benchmark"), number, now)
    _roll_up(engine)
    with engine.begin() as connection:
        for number in originals:
            connection.execute(sa.insert(schema.nights), [_night(number, back, now) for back in range(3, 368)])
        for number in track(range(ORIGINALS, traps), "a year of a fleet", console=Console(stderr=True)):
            _copy(connection, number % ORIGINALS, number)


def _store_a_day(store: Store, number: int, now: int) -> None:
    """What one trap said, stored as ingest does it."""
    boot, rng = f"{number:032x}", random.Random(number)  # noqa: S311  counts that stay alike
    windows = [
        make_window(
            seq + 1,
            rng.randrange(6),
            rng.randrange(4),
            boot,
            now - (144 - seq) * STEP_MS,
            duration_ms=STEP_MS,
            semantics="arrivals",
        )
        for seq in range(144)
    ]
    batches = [make_batch(windows[first : first + 60], _name(number)) for first in range(0, 144, 60)]
    birth = make_birth(_name(number), boot, semantics="arrivals").model_dump_json().encode()
    said = [("counts", batch) for batch in batches] + [("birth", birth)]
    store.commit(
        sort_arrivals([Arrival(f"mt/v1/demo/{_name(number)}/{leaf}", payload, False, now) for leaf, payload in said])
    )


def _copy(connection: sa.Connection, original: int, number: int) -> None:
    """One trap's rows again for another, which stands on the same meridian and so has the same nights."""
    new = {"trap": sa.literal(_name(number)), "site": sa.literal(_site(number))}
    for table in (schema.windows, schema.traps, schema.boots, schema.hours, schema.nights):
        columns = [column for column in table.c if column.name != "id"]
        of_original = sa.and_(table.c.tenant == "demo", table.c.trap == _name(original))
        found = sa.select(*(new.get(column.name, column) for column in columns)).where(of_original)
        connection.execute(sa.insert(table).from_select([column.name for column in columns], found))


def _name(number: int) -> str:
    return f"trap-{number:04d}"


def _site(number: int) -> str:
    return f"S{number // 4:03d}"


def _place(number: int, now: int) -> Deployment:
    return Deployment(
        trap=_name(number),
        tenant="demo",
        site=_site(number),
        name=f"Site {number}",
        latitude=-10 + number // ORIGINALS / 2,
        longitude=-70 + number % ORIGINALS / 2,
        timezone="America/Manaus",
        bait="CO2",
        trap_type="BG-Sentinel",
        begins_ms=now - 400 * DAY_MS,
    )


def _roll_up(engine: sa.Engine) -> None:
    """As ingest does it between its batches."""
    more = 1
    while more:
        with engine.begin() as connection:
            more = keeping.refresh(connection)


def _night(number: int, back: int, now: int) -> dict[str, Any]:
    noon = now - back * DAY_MS
    return {
        "night": time.strftime("%Y-%m-%d", time.gmtime(noon / 1000)),
        "tenant": "demo",
        "trap": _name(number),
        "deployed_ms": now - 400 * DAY_MS,
        "semantics": "arrivals",
        "site": _site(number),
        "begins_ms": noon - DAY_MS // 2,
        "ends_ms": noon + DAY_MS // 2,
        "boundary": "solar",
        "statistic": "sum",
        "counts": {"Female": back % 40, "Male": back % 23},
        "observed_s": 85_000.0,
        "expected_s": 86_400.0,
        "lost_s": 0.0,
        "coverage": 0.98,
        "problem": False,
        "models": ["yolov8n_kd@" + "ab" * 8],
        "thresholds": [0.35],
        "clock_repaired": False,
        "windows": 144,
    }


@contextmanager
def running(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command of the server."""
    line = [sys.executable, "-m", "trap_server.commands", *arguments]
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def visits(address: str, cookie: str, traps: int, rounds: int) -> list[Load]:
    """The first page in a fresh context each time."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("error: chromium is missing: install it with `sudo apt-get install chromium`")
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(rounds):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            context.add_cookies([{"name": COOKIE, "value": cookie, "url": address}])
            page = context.new_page()
            page.goto(address, wait_until="commit")
            page.wait_for_function(DONE.replace("{n}", str(traps)), timeout=120_000)
            complete_ms = page.evaluate("() => performance.now()")
            page.wait_for_function(MAP, timeout=120_000)  # it comes after the table
            found.append(Load(page.evaluate(PAINT), complete_ms, *page.evaluate(BYTES)))
            context.close()
        browser.close()
    return found


@contextmanager
def open_pages(address: str, cookie: str, count: int) -> Iterator[None]:
    """Event streams as fleet pages hold them, read in a process of their own, so as not to slow this one."""
    readers = multiprocessing.get_context("spawn").Process(target=_read, args=(address, cookie, count), daemon=True)
    readers.start()
    time.sleep(4)
    yield
    readers.terminate()
    readers.join()


def _read(address: str, cookie: str, count: int) -> None:
    def read() -> None:
        query = f"{address}/api/v1/events?kinds=row,ingest"
        with httpx.stream("GET", query, cookies={COOKIE: cookie}, timeout=600) as one:
            for _ in one.iter_raw():
                pass

    threads = [threading.Thread(target=read) for _ in range(count)]
    for thread in threads:
        thread.start()


def turn(trap: FakeTrap, ingest_pid: int, first: int, seconds: float, pages: int) -> Turn:
    """Messages at 17 a second, one window each, whether or not those before are acknowledged."""
    begun, boot, count = cpu_s(ingest_pid), f"{first:032x}", int(seconds * RATE)
    sent: dict[tuple[str, int], float] = {}
    with stamped(trap) as stamps:
        start = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, start + number / RATE - time.monotonic()))
            sent[(boot, number + 1)] = time.monotonic()
            trap.send(make_window(number + 1, boot=boot, wall_ms=now_ms() - 60_000, semantics="arrivals"))
        until(lambda: sent.keys() <= stamps.keys(), "all are acknowledged")
    latencies = [stamps[key] - moment for key, moment in sent.items()]
    return Turn(pages, statistics.median(latencies), 1000 * (cpu_s(ingest_pid) - begun) / count)


@contextmanager
def stamped(trap: FakeTrap) -> Iterator[dict[tuple[str, int], float]]:
    """When each window was acknowledged, by the monotonic clock."""
    stamps: dict[tuple[str, int], float] = {}
    told = trap.client.on_message

    def stamp(*message: Any) -> None:
        before = len(trap.acknowledged)
        told(*message)  # type: ignore[misc]
        stamps.update(dict.fromkeys(trap.acknowledged[before:], time.monotonic()))

    trap.client.on_message = stamp
    yield stamps
    trap.client.on_message = told


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(traps: int, rounds: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Everything, in one run."""
    database = f"sqlite:///{folder / 'counts.db'}"
    engine = open_database(database)
    fill(engine, traps)
    with engine.begin() as connection:
        cookie = front_door.begin(connection, people.add(connection, "benchmark", "admin", now_ms()), "", now_ms())
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        broker = stack.enter_context(running_broker(folder))
        ingest = stack.enter_context(running(["ingest", "--broker", broker.url, "--database", database]))
        stack.enter_context(running(["api", "--database", database, "--port", str(port)]))
        until(lambda: hears_broker(address), "the site is ready", 120)
        loads = visits(address, cookie, traps, rounds)
        turns = []
        trap = stack.enter_context(FakeTrap(broker.port, name="trap-0000"))
        for number in range(2 * rounds):
            pages = PAGES * (number % 2)
            with open_pages(address, cookie, pages):
                turns.append(turn(trap, ingest.pid, 10_000 + number, seconds, pages))
    return report(traps, loads, turns)


def report(traps: int, loads: list[Load], turns: list[Turn]) -> dict[str, Any]:
    """Medians with all samples beside them; ratios of 50 pages to none."""

    def of(pages: int, name: str) -> list[float]:
        return [getattr(one, name) for one in turns if one.pages == pages]

    return {
        "command": " ".join(["python", "benchmarks/dashboard.py", *sys.argv[1:]]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": {name: version(name) for name in ("fastapi", "uvicorn", "sqlalchemy", "playwright")},
        "traps": traps,
        "first_paint_ms": sorted(round(one.first_paint_ms) for one in loads),
        "complete_ms": sorted(round(one.complete_ms) for one in loads),
        "page_kb": sorted(round(one.page_bytes / 1000, 1) for one in loads),
        "data_kb": sorted(round(one.data_bytes / 1000, 1) for one in loads),
        "ack_ms": {pages: sorted(round(1000 * one) for one in of(pages, "ack_s")) for pages in (0, PAGES)},
        "ack_ratio": statistics.median(of(PAGES, "ack_s")) / statistics.median(of(0, "ack_s")),
        "cpu_ms_per_message": {pages: sorted(round(one, 2) for one in of(pages, "cpu_ms")) for pages in (0, PAGES)},
        "cpu_ratio": statistics.median(of(PAGES, "cpu_ms")) / statistics.median(of(0, "cpu_ms")),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--traps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="of messages in a turn")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(asked.traps, asked.rounds, asked.seconds, Path(folder))
    print(json.dumps(found) if asked.json else "\n".join(f"{name:20} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
