"""Everything that can fail, at work together: broker, bad links, collectors, database, simulated traps."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from brokers import Broker
from trap_contract.broker import BrokerAddress
from trap_contract.topics import TrapAddress
from trap_deploy.ports import free_port
from trap_server.database import open_database, open_for_reading
from trap_server.fleet.broker_rules import KEEPING
from trap_server.simulation.history import Verdict, compare
from trap_server.simulation.speaker import Speaker
from trap_server.simulation.trap import SimulatedTrap

from server.chaos.certificates import HOST, Certificates, State
from server.chaos.proxy import ChaosProxy

WINDOW_MS = 100
PATIENCE_S = 4.0
TURN_S = 0.05
ACL = "topic readwrite #\n"
SAVES = KEEPING.replace("autosave_interval 60", "autosave_on_changes false\nautosave_interval 5")
"""As a fleet's broker keeps and saves, but a dozen times in a round's minute: what it saved is sometimes old."""
SETTLING_S = 180.0


@dataclass
class Replica:
    """One collector process, started again whenever it has died, as systemd would."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    began_at: int = 0

    def keep_alive(self) -> None:
        """Start it if it does not run."""
        if self.process is None or self.process.poll() is not None:
            with self.log.open("ab") as log:
                self.began_at = log.tell()
                self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def is_collecting(self) -> bool:
        """Whether the process that runs now has said that it is subscribed."""
        if self.process is None or self.process.poll() is not None:
            return False
        return b"broker_connected" in self.log.read_bytes()[self.began_at :]

    def signal(self, number: int) -> None:
        """Send a signal if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def stop(self) -> None:
        """End it for good."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)


@dataclass
class World:
    """`rng` decides faults only; `database` is the address that collectors get. Traps speak TLS, as in the field."""

    folder: Path
    rng: random.Random
    broker: Broker
    certificates: Certificates
    database: str
    for_traps: ChaosProxy
    for_collectors: ChaosProxy
    replicas: list[Replica]
    speakers: list[Speaker] = field(default_factory=list)
    traps: list[SimulatedTrap] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)
    counting: bool = True

    def speaker(self, traps: Sequence[SimulatedTrap], *, certificate: State = "good") -> Speaker:
        """A new connection of these traps, which is begun."""
        address = BrokerAddress.parse(f"mqtts://{HOST}:{self.for_traps.port}", self.certificates.of_trap(certificate))
        speaker = Speaker(address, f"chaos-{traps[0].address.trap}-{traps[0].salt}", traps)
        speaker.start()
        return speaker

    def add_trap(self, name: str, salt: int, boot: str, begins_ms: int | None = None) -> SimulatedTrap:
        """One more trap, on a connection of its own."""
        trap = SimulatedTrap(TrapAddress("chaos", name), salt, WINDOW_MS, most_held=3000, patience_s=PATIENCE_S)
        trap.begin_boot(boot, now_ms() if begins_ms is None else begins_ms)
        self.connect([trap])
        return trap

    def connect(self, traps: Sequence[SimulatedTrap]) -> None:
        """These traps on one connection of their own."""
        self.speakers += [self.speaker(traps)] * len(traps)
        self.traps += traps

    def speaker_of(self, trap: SimulatedTrap) -> Speaker:
        """Its connection."""
        return self.speakers[self.traps.index(trap)]

    def certify(self, trap: SimulatedTrap, certificate: State) -> None:
        """The trap, and who shares its connection, connect anew, with this certificate."""
        old = self.speaker_of(trap)
        old.stop()
        new = self.speaker(old.traps, certificate=certificate)
        self.speakers = [new if one is old else one for one in self.speakers]

    def keep_going(self) -> None:
        """Until `ending`: traps count and send, the broker and collectors that died come back."""
        was_ready: dict[int, bool] = {}
        while not self.ending.wait(TURN_S):
            for replica in self.replicas:
                replica.keep_alive()
            for number, (speaker, trap) in enumerate(zip(list(self.speakers), list(self.traps), strict=True)):
                if self.counting:
                    with speaker.lock:
                        trap.count(now_ms())
                if speaker.is_ready and not was_ready.get(number):
                    with speaker.lock:
                        speaker.introduce(trap, now_ms())
                was_ready[number] = speaker.is_ready
                speaker.send(trap, time.monotonic())

    def settle(self) -> Verdict:
        """Let everything that is held arrive, as long as something does, then compare."""
        self.counting = False
        least, deadline_s = math.inf, 0.0
        while waiting := sum(trap.held() + trap.owes_losses() for trap in self.traps):
            if waiting < least:
                least, deadline_s = waiting, time.monotonic() + SETTLING_S
            if time.monotonic() > deadline_s:
                break
            time.sleep(0.1)
        self.ending.set()
        with open_for_reading(self.database).begin() as connection:
            return compare(connection, self.traps, settled=True)

    def deny(self, topics: str) -> None:
        """The broker's access rules, these topics denied."""
        (self.folder / "acl").write_text(topics + ACL)
        self.read_again()

    def read_again(self) -> None:
        """A broker that runs reads its rules and certificates again."""
        if self.broker.process is not None and self.broker.process.poll() is None:
            self.broker.process.send_signal(signal.SIGHUP)


@contextmanager
def running_world(folder: Path, database: str, seed: int, *, replicas: int, traps: int) -> Iterator[World]:
    """A world that ends with the block."""
    (folder / "acl").write_text(ACL)
    certificates, port = Certificates.made(folder / "certificates"), free_port()
    extra = f"acl_file {folder / 'acl'}\n{SAVES}{certificates.listener(port)}"
    broker = Broker(folder / "mosquitto", free_port(), extra, verbose=False)
    broker.start()
    open_database(database).dispose()
    rng = random.Random(seed)
    with ChaosProxy(port) as for_traps, ChaosProxy(broker.port) as for_collectors:
        command = [sys.executable, "-m", "server.chaos.doomed", "ingest", "--until-stdin-closes"]
        command += ["--broker", f"mqtt://127.0.0.1:{for_collectors.port}", "--database", database]
        command += ["--share", "chaos"] if replicas > 1 else []
        names = [f"replica-{number}" for number in range(replicas)]
        fleet = [Replica(name, [*command, "--collector", name], folder / f"{name}.log") for name in names]
        world = World(folder, rng, broker, certificates, database, for_traps, for_collectors, fleet)
        with _living(world):
            for number in range(traps):
                world.add_trap(f"trap-{number}", number, f"{rng.getrandbits(128):032x}")
            yield world


@contextmanager
def _living(world: World) -> Iterator[None]:
    life = threading.Thread(target=world.keep_going, daemon=True)
    life.start()
    try:
        yield
    finally:
        world.ending.set()
        life.join(20)
        for speaker in set(world.speakers):
            speaker.stop()
        for replica in world.replicas:
            replica.stop()
        world.broker.kill()


def now_ms() -> int:
    """The true time."""
    return time.time_ns() // 1_000_000


def environment() -> None:
    """Let children import the tests' modules."""
    tests = str(Path(__file__).resolve().parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH", "")]))
