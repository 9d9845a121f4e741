"""A rollout rehearsed: the collector's own store, driver and gate, a database in a temporary folder, invented traps,
and a clock that leaps from minute to minute.
"""

import hashlib
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from trap_contract.messages import Clock, CountBatch, Effort, Health, ModelRef, Window
from trap_contract.rollout import BundleFile, Desired, Progress, ProgressState, PublishedBundle
from trap_contract.signature import Signature
from trap_contract.topics import COUNTS, HEALTH, PROGRESS, TrapAddress

from trap_server.database import open_database
from trap_server.rollouts import keeping
from trap_server.rollouts.driving import Driver
from trap_server.rollouts.engine import ENDED
from trap_server.rollouts.fault import Fault
from trap_server.rollouts.plan import Plan
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

START_MS = 1_790_000_000_000
WINDOW_MS = 600_000
TURN_MS = 120_000
WINDOWS_A_MESSAGE = 60
OLD_SHA, NEW_SHA = "0" * 64, "1" * 64
CLASSES = ("Female", "Male")
SIZE = 3_000_000
_MEMORY = Path("/dev/shm")  # noqa: S108 - nothing of a rehearsal needs a disk


@dataclass(frozen=True, slots=True)
class World:
    """The invented fleet."""

    traps: int = 200
    bad_share: float = 0.1
    fault: Fault = Fault.blind
    cut_share: float = 0.05
    away_share: float = 0.02
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended; hours are the rehearsed clock's."""

    state: str
    reason: str
    hours: float
    traps: int
    bad: int
    away: int
    had_it: int
    had_it_badly: int
    have_it: int
    returned: int
    power_cuts: int

    def text(self) -> str:
        """For people."""
        return (
            f"{self.state} after {self.hours:.1f} h{': ' if self.reason else ''}{self.reason}\n"
            f"{self.traps} traps, bad on {self.bad}, {self.away} away; {self.had_it} ever counted with it, "
            f"{self.had_it_badly} of them badly; now {self.have_it} have it and {self.returned} are back; "
            f"{self.power_cuts} power cuts"
        )


@dataclass(slots=True)
class InventedTrap:
    """One trap: what it counts, and how far it is with what the collector wishes."""

    address: TrapAddress
    mean: float
    is_bad: bool
    is_away: bool
    wish: Desired | None = None
    state: ProgressState | None = None
    has_new: bool = False
    had_new: bool = False
    next_ms: int = 0
    seq: int = 0
    waiting: list[Window] = field(default_factory=list)


class Rehearsal:
    """The traps, their luck, and the collector."""

    def __init__(self, plan: Plan, world: World, engine: sa.Engine) -> None:
        self.world = world
        self.rng = random.Random(world.seed)  # noqa: S311 - luck, not a secret
        self.engine = engine
        self.store = Store(engine, "rehearsal")
        self.driver = Driver(engine, self.hear)
        self.traps = {one.address: one for one in map(self._invent, range(world.traps))}
        self.now_ms = START_MS
        self.cuts = 0
        self._count(START_MS - plan.gate.before_s * 1000, START_MS)
        with engine.begin() as connection:
            bundle = _bundle()
            keeping.keep_bundle(connection, bundle, START_MS)
            self.id = f"{world.seed:016x}"
            url = "https://rehearsal.example"
            keeping.create(connection, bundle, plan, url=url, tenant=None, now_ms=START_MS, new_id=self.id)
            keeping.command(connection, self.id, "running", START_MS)

    def run(self) -> Outcome:
        """To the end of the rollout, and until every trap that is there has heard of it."""
        while not self._is_over():
            self.now_ms += TURN_MS
            self.driver.turn(self.now_ms)
            self._advance()
            if (self.now_ms - START_MS) % WINDOW_MS == 0:
                self._count(self.now_ms - WINDOW_MS, self.now_ms)
        with self.engine.begin() as connection:
            position = keeping.rollout(connection, self.id).position
        traps = list(self.traps.values())
        return Outcome(
            state=position.state,
            reason=position.reason,
            hours=(self.now_ms - START_MS) / 3_600_000,
            traps=len(traps),
            bad=sum(one.is_bad for one in traps),
            away=sum(one.is_away for one in traps),
            had_it=sum(one.had_new for one in traps),
            had_it_badly=sum(one.had_new and one.is_bad for one in traps),
            have_it=sum(one.has_new for one in traps),
            returned=sum(one.had_new and not one.has_new for one in traps),
            power_cuts=self.cuts,
        )

    def hear(self, address: TrapAddress, wish: Desired, _expiry_s: int) -> None:
        """The collector tells a trap."""
        trap = self.traps[address]
        trap.wish, trap.next_ms = wish, self.now_ms + self.rng.randrange(10_000, 240_000)
        trap.state = None

    def _is_over(self) -> bool:
        with self.engine.begin() as connection:
            state = keeping.rollout(connection, self.id).position.state
        is_quiet = all(one.wish is None for one in self.traps.values() if not one.is_away)
        return (state in ENDED or state == "paused") and is_quiet

    def _invent(self, number: int) -> InventedTrap:
        world, rng = self.world, self.rng
        address = TrapAddress("rehearsal", f"trap-{number:05}")
        mean = rng.lognormvariate(0.7, 0.8)
        is_bad, is_away = rng.random() < world.bad_share, rng.random() < world.away_share
        return InventedTrap(address, mean, is_bad, is_away)

    def _advance(self) -> None:
        """Every trap that is there takes the step that is due; a power cut undoes it."""
        said: list[Arrival] = []
        for trap in self.traps.values():
            if trap.wish is None or trap.is_away or self.now_ms < trap.next_ms:
                continue
            if self.rng.random() < self.world.cut_share:
                self.cuts += 1
                trap.next_ms = self.now_ms + TURN_MS
                continue
            said.append(self._say(trap))
        if said:
            self.store.commit(sort_arrivals(said))

    def _say(self, trap: InventedTrap) -> Arrival:
        assert trap.wish is not None
        wish = trap.wish
        if wish.action == "withdraw":
            trap.state, trap.has_new, trap.wish = "rolled_back", False, None
        elif trap.state is None:
            trap.state, trap.next_ms = "downloading", self.now_ms + self.rng.randrange(30_000, 600_000)
        elif trap.state == "downloading":
            trap.state, trap.has_new, trap.had_new = "trial", True, True
            trap.next_ms = self.now_ms + 10 * 60_000
        else:
            is_crash = trap.is_bad and self.world.fault is Fault.crash
            trap.state, trap.has_new, trap.wish = ("rolled_back", False, None) if is_crash else ("active", True, None)
        progress = Progress(
            trap=trap.address.trap,
            rollout=wish.rollout,
            digest=wish.bundle.digest,
            state=trap.state,
            wall_ms=self.now_ms,
        )
        return self._arrival(trap, PROGRESS, progress.model_dump_json())

    def _count(self, since_ms: int, until_ms: int) -> None:
        """Windows of every trap that is there, and its health."""
        arrivals: list[Arrival] = []
        for trap in self.traps.values():
            if trap.is_away and until_ms > START_MS:
                continue
            windows = [self._window(trap, begin) for begin in range(since_ms, until_ms, WINDOW_MS)]
            for first in range(0, len(windows), WINDOWS_A_MESSAGE):
                part = tuple(windows[first : first + WINDOWS_A_MESSAGE])
                batch = CountBatch(trap=trap.address.trap, sent_wall_ms=until_ms, windows=part)
                arrivals.append(self._arrival(trap, COUNTS, batch.model_dump_json(), until_ms))
            is_hot = trap.has_new and trap.is_bad and self.world.fault is Fault.hot
            celsius = 83.0 if is_hot else 55 + self.rng.gauss(0, 2)
            boot = _boot(trap.address)
            health = Health(trap=trap.address.trap, boot=boot, wall_ms=until_ms, soc_celsius=celsius)
            arrivals.append(self._arrival(trap, HEALTH, health.model_dump_json(), until_ms - 1))
        self.store.commit(sort_arrivals(arrivals))

    def _window(self, trap: InventedTrap, begin_ms: int) -> Window:
        """Counts follow the hour, the trap and chance."""
        trap.seq += 1
        is_ill = trap.has_new and trap.is_bad
        hour = (begin_ms // 3_600_000) % 24
        mean = trap.mean * (3.0 if hour < 6 or hour >= 20 else 1.0)
        factor = {Fault.blind: 0.1, Fault.ghosts: 5.0}.get(self.world.fault, 1.0) if is_ill else 1.0
        counts = {name: _poisson(mean * factor, self.rng) for name in CLASSES}
        share = 0.45 if is_ill and self.world.fault is Fault.slow else 0.97
        sha256 = NEW_SHA if trap.has_new else OLD_SHA
        frames = round(WINDOW_MS / 1000 * share)
        return Window(
            boot=_boot(trap.address),
            seq=trap.seq,
            kernel_boot="k",
            wall_ms=begin_ms,
            mono_ms=begin_ms - START_MS + 10**9,
            duration_ms=WINDOW_MS,
            clock=Clock(synced=True, source="ntp"),
            semantics="occupancy",
            counts=counts,
            effort=Effort(observed_s=WINDOW_MS / 1000 * share, frames_seen=frames, frames_analysed=frames),
            model=ModelRef(id="new" if trap.has_new else "old", sha256=sha256, threshold=0.3),
        )

    def _arrival(self, trap: InventedTrap, leaf: str, payload: str, at_ms: int | None = None) -> Arrival:
        return Arrival(trap.address.topic(leaf), payload.encode(), retained=False, received_at_ms=at_ms or self.now_ms)


def rehearse(plan: Plan, world: World) -> Outcome:
    """One rollout, from its start to its end; the same world gives the same traps and the same luck."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'rehearsal.db'}")
        try:
            return Rehearsal(plan, world, engine).run()
        finally:
            engine.dispose()


def _bundle() -> PublishedBundle:
    signature = Signature(digest=NEW_SHA, key="0" * 64, signature="0" * 128, signed_at_s=1)
    file = BundleFile(name="new.tflite", size=SIZE, sha256=NEW_SHA)
    return PublishedBundle(name="new.tflite", model="new", model_sha256=NEW_SHA, signature=signature, files=(file,))


def _boot(address: TrapAddress) -> str:
    return hashlib.sha256(address.trap.encode()).hexdigest()[:32]


def _poisson(mean: float, rng: random.Random) -> int:
    """Knuth's; means here are small."""
    limit, count, product = 2.718281828459045**-mean, 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count
