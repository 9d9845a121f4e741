"""Take the documents' pictures from the running program, over a simulated fleet: `make pictures`.

The traps are simulated; what they say is stored as ingest does it, and server, broker, database and pages are the real
ones. Two of the thirty traps fell silent, some lost an hour, one looks half of the time.
"""

import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from trap_contract.messages import Effort, Health, Window
from trap_deploy.invitation import link_for
from trap_deploy.page_picture import take_pictures
from trap_server import deployments
from trap_server.database import open_database
from trap_server.nights import Deployment
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests"))  # the tests' broker, site and made-up traps

from brokers import running_broker  # noqa: E402
from server.test_commands import running_site  # noqa: E402
from server.traps import make_batch, make_birth, make_state, make_window  # noqa: E402
from trap_deploy.ports import free_port  # noqa: E402

TRAPS, HOURS, STEP_MS = 30, 66, 300_000
HOUR_MS = 3_600_000
PLACES = (
    "Buena Vista",
    "El Carmen",
    "Rio Claro",
    "Las Palmas",
    "San Isidro",
    "Santa Rosa",
    "La Esperanza",
    "Los Mangos",
)
PAGES = {
    "/": DOCS / "dashboard.png",
    "/traps/demo/trap-02": DOCS / "trap-page.png",
}


def main() -> None:
    """Fill a database, serve it, take the pictures."""
    now_ms = time.time_ns() // 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder) / 'counts.db'}"
        engine = open_database(database)
        store, rng = Store(engine, "pictures"), random.Random(4)  # noqa: S311  pictures that stay alike
        for number in range(1, TRAPS + 1):
            with engine.begin() as connection:
                deployments.add(connection, _place(number, now_ms, rng))
            store.commit(sort_arrivals([*_said(number, now_ms, rng)]))
        engine.dispose()
        port = free_port()
        with running_broker(Path(folder)) as broker, running_site(broker, database, port):
            take_pictures(link_for("pictures", database, f"http://127.0.0.1:{port}"), PAGES)


def _place(number: int, now_ms: int, rng: random.Random) -> Deployment:
    return Deployment(
        trap=f"trap-{number:02}",
        tenant="demo",
        site=f"S{number:03}",
        name=f"{PLACES[number % len(PLACES)]} {number // len(PLACES) + 1}",
        latitude=-3.1 + rng.gauss(0, 1.6),
        longitude=-60.0 + rng.gauss(0, 2.4),
        timezone="America/Manaus",
        bait="CO2",
        trap_type="BG-Sentinel",
        begins_ms=now_ms - 90 * 24 * HOUR_MS,
    )


def _said(number: int, now_ms: int, rng: random.Random) -> Iterator[Arrival]:
    """Everything that one trap has sent."""
    trap, boot = f"trap-{number:02}", f"{number:032x}"
    end_ms = now_ms - (rng.randint(2, 7) * HOUR_MS if number in {9, 23} else 0)
    windows = [*_windows(number, boot, end_ms, rng)]
    for first in range(0, len(windows), 60):
        payload = make_batch(windows[first : first + 60], trap)
        yield Arrival(f"mt/v1/demo/{trap}/counts", payload, False, windows[first].wall_ms + STEP_MS)
    for leaf, message in (
        ("birth", make_birth(trap, boot, semantics="arrivals")),
        ("state", make_state("online", trap, boot)),
        ("health", _health(trap, boot, end_ms)),
    ):
        yield Arrival(f"mt/v1/demo/{trap}/{leaf}", message.model_dump_json().encode(), False, end_ms)


def _health(trap: str, boot: str, now_ms: int) -> Health:
    volts = 12.1 + int(boot, 16) % 9 / 10
    return Health(trap=trap, boot=boot, wall_ms=now_ms, battery_volts=volts, air_celsius=26.4, humidity_percent=78.0)


def _windows(number: int, boot: str, end_ms: int, rng: random.Random) -> Iterator[Window]:
    level, seen = rng.lognormvariate(0.9, 0.7), 0.55 if number == 17 else 0.98
    count = HOURS * HOUR_MS // STEP_MS
    for seq in range(1, count + 1):
        if number % 4 == 2 and 30 < count - seq < 46:
            continue  # an hour and more of tonight that never came
        start_ms = end_ms - (count - seq + 1) * STEP_MS
        active = level * _activity((start_ms / HOUR_MS - 4) % 24)
        observed_s = STEP_MS / 1000 * seen * rng.uniform(0.97, 1.0)
        yield make_window(
            seq,
            _poisson(active, rng),
            _poisson(active * 0.6, rng),
            boot,
            start_ms,
            duration_ms=STEP_MS,
            semantics="arrivals",
            effort=Effort(observed_s=observed_s, frames_seen=3000, frames_analysed=2950),
        )


def _activity(hour: float) -> float:
    """Dusk and dawn, as Culex and Anopheles fly."""
    dusk, dawn = (hour - 19 + 12) % 24 - 12, (hour - 5 + 12) % 24 - 12
    return math.exp(-(dusk**2) / 3) + 0.7 * math.exp(-(dawn**2) / 2) + (0.15 if hour > 18 or hour < 6 else 0.0)


def _poisson(mean: float, rng: random.Random) -> int:
    """Knuth's way, for small means."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


if __name__ == "__main__":
    main()
