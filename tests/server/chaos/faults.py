"""What goes wrong: each fault begins, lasts, and is healed; a seed decides which, when and for how long."""

import random
import resource
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

import sqlalchemy as sa
from postgres_server import PostgresServer

from server.chaos.certificates import State
from server.chaos.doomed import POINTS
from server.chaos.world import Replica, World, now_ms

Heal = Callable[[], object]
FORTNIGHT_MS = 14 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of a schedule: when it begins, from the start, and how long it lasts."""

    at_s: float
    name: str
    lasts_s: float


class Faults:
    """Begins one fault by name; returns what heals it."""

    def __init__(self, world: World, postgres: PostgresServer | None) -> None:
        self._world = world
        self._postgres = postgres

    def begin(self, name: str) -> Heal:
        """Let it go wrong."""
        heal: Heal | None = getattr(self, name)()
        return heal or (lambda: None)

    def broker_killed(self) -> Heal:
        self._world.broker.kill()
        return self._world.broker.start

    def broker_killed_without_persistence(self) -> Heal:
        self._world.broker.kill()
        self._world.broker.forget()
        return self._world.broker.start

    def broker_stopped(self) -> Heal:
        process = self._world.broker.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        return lambda: process.send_signal(signal.SIGCONT)

    def collector_killed(self) -> None:
        self._replica().signal(signal.SIGKILL)

    def collector_killed_before_commit(self) -> None:
        self._replica().signal(POINTS["before_commit"])

    def collector_killed_after_commit(self) -> None:
        self._replica().signal(POINTS["after_commit"])

    def collector_killed_after_ack(self) -> None:
        self._replica().signal(POINTS["after_ack"])

    def collector_stopped(self) -> Heal:
        replica = self._replica()
        replica.signal(signal.SIGSTOP)
        return lambda: replica.signal(signal.SIGCONT)

    def database_busy(self) -> Heal:
        """Another writer holds it: SQLITE_BUSY, or the writers' lock."""
        if self._postgres is not None:
            engine = sa.create_engine(self._world.database)
            connection = engine.connect()
            with suppress(sa.exc.DBAPIError):
                connection.exec_driver_sql("LOCK TABLE windows IN ACCESS EXCLUSIVE MODE")
            return lambda: (connection.invalidate(), engine.dispose())
        connection_ = sqlite3.connect(self._file(), isolation_level=None, check_same_thread=False, timeout=10)
        with suppress(sqlite3.OperationalError):
            connection_.execute("BEGIN IMMEDIATE")
        return connection_.close

    def disk_full(self) -> Heal:
        """No file of the writer may grow."""
        if self._postgres is not None:
            server = self._postgres
            server.limit_files(65536)
            return lambda: server.limit_files(None)
        pids = [replica.process.pid for replica in self._world.replicas if replica.process is not None]
        for pid in pids:
            _limit(pid, 65536)
        return lambda: [_limit(pid, None) for pid in pids]

    def database_restarted(self) -> Heal | None:
        """SQLite has no server: its reader's checkpoint is what comes nearest."""
        if self._postgres is None:
            with suppress(sqlite3.OperationalError), closing(sqlite3.connect(self._file())) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return None
        self._postgres.kill()
        return self._start_postgres

    def links_late(self) -> Heal:
        self._world.for_traps.latency_s = self._world.for_collectors.latency_s = 0.6
        return self._heal_links

    def links_of_32_kbit(self) -> Heal:
        self._world.for_traps.bytes_a_second = 4000
        return self._heal_links

    def links_reset(self) -> None:
        self._world.for_traps.reset()
        self._world.for_collectors.reset()

    def links_half_open(self) -> Heal:
        proxy = self._world.rng.choice([self._world.for_traps, self._world.for_collectors])
        proxy.frozen = True
        return proxy.heal

    def links_refused(self) -> Heal:
        self._world.for_traps.refusing = True
        self._world.for_traps.reset()
        return self._heal_links

    def trap_restarted(self) -> None:
        trap = self._world.rng.choice(self._world.traps)
        with self._world.speaker_of(trap).lock:
            trap.begin_boot(self._boot(), now_ms())

    def clock_stepped(self) -> None:
        """A board without a battery starts a fortnight in the past, or a day ahead, and says that it is not set."""
        trap = self._world.rng.choice(self._world.traps)
        off_ms = self._world.rng.choice([-FORTNIGHT_MS, FORTNIGHT_MS // 14])
        with self._world.speaker_of(trap).lock:
            trap.begin_boot(self._boot(), now_ms(), off_ms)

    def card_cloned(self) -> None:
        """A second trap with a copy of the card: same name, same boot, other insects."""
        trap = self._world.rng.choice(self._world.traps)
        boot = trap.boots[-1]
        if boot.clock_off_ms == 0 and len(self._world.traps) < 40:
            self._world.add_trap(trap.address.trap, 1000 + len(self._world.traps), boot.name, boot.begins_ms)

    def client_id_twice(self) -> Heal:
        """Somebody connects by a trap's client id and so throws it out."""
        trap = self._world.rng.choice(self._world.traps)
        return self._world.speaker(self._world.speaker_of(trap).traps).stop

    def certificate_of_the_broker_expired(self) -> Heal:
        """Traps are on their own until it is renewed."""
        self._show("expired")
        self._world.for_traps.reset()
        return lambda: self._show("good")

    def certificate_of_a_trap_expired(self) -> Heal:
        trap = self._world.rng.choice(self._world.traps)
        self._world.certify(trap, "expired")
        return lambda: self._world.certify(trap, "good")

    def topic_denied(self) -> Heal:
        trap = self._world.rng.choice(self._world.traps)
        self._world.deny(f"topic deny {trap.address.topic('counts')}\n")
        return lambda: self._world.deny("")

    def poison(self) -> None:
        rng = self._world.rng
        speaker = rng.choice(self._world.speakers)
        for payload in (rng.randbytes(200), b"{", b'{"v": 7}', b"NaN", b"", b"x" * 200_000):
            speaker.say_raw("mt/v1/chaos/poison/counts", payload)

    def _show(self, state: State) -> None:
        self._world.certificates.show(state)
        self._world.read_again()

    def _replica(self) -> Replica:
        return self._world.rng.choice(self._world.replicas)

    def _boot(self) -> str:
        return f"{self._world.rng.getrandbits(128):032x}"

    def _start_postgres(self) -> None:
        """As a service manager does: again, while the last one's memory is still being given back."""
        assert self._postgres is not None
        for _ in range(20):
            try:
                self._postgres.start()
            except RuntimeError:
                time.sleep(0.5)
            else:
                return

    def _heal_links(self) -> None:
        self._world.for_traps.heal()
        self._world.for_collectors.heal()

    def _file(self) -> str:
        return self._world.database.removeprefix("sqlite:///")


NAMES = tuple(name for name in vars(Faults) if not name.startswith("_") and name != "begin")


def schedule(seed: int, seconds: float) -> list[Planned]:
    """Faults one after another and overlapping; every kind comes before any comes twice."""
    rng, found, at_s, bag = random.Random(seed), [], 1.0, list[str]()
    while at_s < seconds:
        bag = bag or rng.sample(NAMES, len(NAMES))
        found.append(Planned(round(at_s, 2), bag.pop(), round(rng.uniform(0.2, 3.0), 2)))
        at_s += rng.uniform(0.2, 2.5)
    return found


def inflict(faults: Faults, planned: list[Planned], say: Callable[[str], object]) -> None:
    """Carry a schedule out; everything is healed on return."""
    began_s = time.monotonic()
    healing: list[tuple[float, str, Heal]] = []
    for one in planned:
        _heal_until(healing, began_s + one.at_s)
        if any(name == one.name or name.split("_")[0] == one.name.split("_")[0] for _, name, _ in healing):
            continue  # the same thing can't break twice at once
        say(f"{one.at_s:6.1f} s  {one.name} for {one.lasts_s} s")
        healing.append((time.monotonic() + one.lasts_s, one.name, faults.begin(one.name)))
    _heal_until(healing, float("inf"))


def _heal_until(healing: list[tuple[float, str, Heal]], moment_s: float) -> None:
    while healing and (first := min(healing, key=lambda one: one[0]))[0] <= moment_s:
        time.sleep(max(0.0, first[0] - time.monotonic()))
        healing.remove(first)
        first[2]()
    if moment_s != float("inf"):
        time.sleep(max(0.0, moment_s - time.monotonic()))


def _limit(pid: int, size: int | None) -> None:
    with suppress(ProcessLookupError):
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most if size is None else size, most))
