"""`trap-fleet simulate`: days of a fleet in minutes, with its outages, and an account at the end."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trap_contract.broker import BrokerAddress
from trap_contract.topics import TrapAddress

from trap_server.database import open_for_reading
from trap_server.simulation.history import Verdict, compare
from trap_server.simulation.speaker import Speaker
from trap_server.simulation.trap import SimulatedTrap

HOUR_MS = 3_600_000
MEAN_OUTAGE_MS = 6 * HOUR_MS
TRAPS_A_CONNECTION = 250
TURN_S = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """What to simulate; `outages` is the share of its time that a trap is cut off, `blackout_h` that all are, once."""

    traps: int
    days: float
    speed: float
    seed: int
    tenant: str = "simulated"
    window_s: int = 60
    outages: float = 0.1
    blackout_h: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it; `speed` is what was reached, the end of the backlog included."""

    windows: int
    messages: int
    seconds: float
    speed: float
    windows_a_second: float
    given_up: int
    verdict: Verdict | None


Outages = Sequence[tuple[int, int]]


class Simulation:
    """A fleet on a clock that runs `plan.speed` times as fast as ours, and ends now."""

    def __init__(self, plan: Plan, address: BrokerAddress, begins_ms: int) -> None:
        self._plan = plan
        self._begins_ms = begins_ms
        self._ends_ms = begins_ms + round(plan.days * 24 * HOUR_MS)
        rng = random.Random(plan.seed)  # noqa: S311  a simulation
        self.traps = [self._trap(number, rng) for number in range(plan.traps)]
        self._outages = [tuple(outages(plan, begins_ms, self._ends_ms, rng)) for _ in self.traps]
        parts = range(0, plan.traps, TRAPS_A_CONNECTION)
        self._speakers = [
            Speaker(address, f"simulated-{plan.seed}-{first}", self.traps[first : first + TRAPS_A_CONNECTION])
            for first in parts
        ]
        self._messages = 0

    def run(self, follow: Callable[[float], None]) -> float:
        """Until every window is acknowledged; returns seconds. `follow` is told the share that is done."""
        for speaker in self._speakers:
            speaker.start()
        began_s = time.monotonic()
        while True:
            now_s = time.monotonic()
            now_ms = min(self._ends_ms, self._begins_ms + round((now_s - began_s) * 1000 * self._plan.speed))
            held = self._take_turn(now_ms, now_s)
            follow((now_ms - self._begins_ms) / (self._ends_ms - self._begins_ms))
            if now_ms == self._ends_ms and not held:
                break
            time.sleep(max(0.0, TURN_S - (time.monotonic() - now_s)))
        for speaker in self._speakers:
            speaker.stop()
        return time.monotonic() - began_s

    @property
    def messages(self) -> int:
        """How many messages of counts were sent."""
        return self._messages

    def _take_turn(self, now_ms: int, now_s: float) -> int:
        """Count, and send for those that are not cut off; returns how many windows are held."""
        held = 0
        for speaker in self._speakers:
            for trap in speaker.traps:
                with speaker.lock:
                    trap.count(now_ms)
                if not self._is_cut_off(trap, now_ms):
                    self._messages += speaker.send(trap, now_s)
                held += trap.held()
        return held

    def _is_cut_off(self, trap: SimulatedTrap, now_ms: int) -> bool:
        return any(begin <= now_ms < end for begin, end in self._outages[trap.salt])

    def _trap(self, number: int, rng: random.Random) -> SimulatedTrap:
        trap = SimulatedTrap(TrapAddress(self._plan.tenant, f"sim-{number}"), number, self._plan.window_s * 1000)
        trap.begin_boot(f"{rng.getrandbits(128):032x}", self._begins_ms)
        return trap


def outages(plan: Plan, begins_ms: int, ends_ms: int, rng: random.Random) -> Iterator[tuple[int, int]]:
    """When a trap is cut off: at random for some six hours each, and in the common blackout in the middle."""
    if plan.blackout_h:
        middle = (begins_ms + ends_ms) // 2
        yield middle, middle + round(plan.blackout_h * HOUR_MS)
    at_ms = float(begins_ms)
    while plan.outages > 0:
        at_ms += rng.expovariate(plan.outages / (1 - plan.outages) / MEAN_OUTAGE_MS)
        if at_ms >= ends_ms:
            return
        length_ms = rng.expovariate(1 / MEAN_OUTAGE_MS)
        yield round(at_ms), round(min(ends_ms, at_ms + length_ms))
        at_ms += length_ms


def simulate(plan: Plan, address: BrokerAddress, database: str | None, follow: Callable[[float], None]) -> Report:
    """Run it, and compare with the collector's database if that is given. Raises ConfigError or StoreError."""
    begins_ms = time.time_ns() // 1_000_000 - round(plan.days * 24 * HOUR_MS)
    simulation = Simulation(plan, address, begins_ms)
    seconds = simulation.run(follow)
    verdict = None
    if database is not None:
        with open_for_reading(database).begin() as connection:
            verdict = compare(connection, simulation.traps, settled=True)
    windows = sum(boot.last for trap in simulation.traps for boot in trap.boots)
    return Report(
        windows=windows,
        messages=simulation.messages,
        seconds=seconds,
        speed=plan.days * 24 * 3600 / seconds,
        windows_a_second=windows / seconds,
        given_up=sum(b - a + 1 for trap in simulation.traps for boot in trap.boots for a, b in boot.given_up),
        verdict=verdict,
    )
