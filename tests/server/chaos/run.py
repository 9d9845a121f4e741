"""`make chaos`: the collector under a seeded schedule of faults, for as long as asked, each round checked at its end.

python -m server.chaos.run --minutes 30          (from tests/)
python -m server.chaos.run --seed 17 --rounds 1  (one seed again)
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from postgres_server import PostgresServer, running_postgres
from trap_agent.delivery import RESEND_S
from trap_contract.topics import TrapAddress
from trap_server.simulation.history import Verdict
from trap_server.simulation.trap import SimulatedTrap

from server.chaos.faults import Faults, inflict, schedule
from server.chaos.world import environment, now_ms, running_world

THREE_DAYS_MS = 3 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Round:
    """One seed decides everything: the database, the replicas, the faults."""

    seed: int
    seconds: float
    database: str
    replicas: int
    traps: int = 5
    backlog: int = 0
    """Traps that come with three days of windows of a minute."""


def planned(seed: int, seconds: float, backlog: int | None = None) -> Round:
    """The round of a seed; one in four is drawn to have 200 traps with a backlog, unless it is told how many."""
    rng = random.Random(seed)
    database, replicas, drawn = rng.choice(["sqlite", "postgresql"]), rng.randint(1, 3), rng.choice([200, 0, 0, 0])
    return Round(seed, seconds, database, replicas, backlog=drawn if backlog is None else backlog)


def run_round(one: Round, folder: Path, postgres: PostgresServer | None, *, tell: bool = False) -> Verdict:
    """Everything of one round; afterwards nothing runs."""
    environment()
    database = f"sqlite:///{folder / 'counts.db'}" if postgres is None else postgres.empty()
    say = (lambda text: print(text, flush=True)) if tell else (lambda _text: None)
    with running_world(folder, database, one.seed, replicas=one.replicas, traps=one.traps) as world:
        late = [a_late_trap(number) for number in range(one.backlog)]
        for at in range(0, len(late), 2):  # paho waits by select(), which knows 1,024 files
            world.connect(late[at : at + 2])
        inflict(Faults(world, postgres), schedule(one.seed, one.seconds), say)
        return world.settle()


def a_late_trap(number: int) -> SimulatedTrap:
    """It has three days of windows to send, and is as patient as an agent."""
    trap = SimulatedTrap(TrapAddress("chaos", f"backlog-{number}"), number, most_held=10_000, patience_s=RESEND_S)
    trap.begin_boot(f"{number + 1:032x}", now_ms() - THREE_DAYS_MS)
    return trap


@contextmanager
def database_of(one: Round) -> Iterator[PostgresServer | None]:
    """A PostgreSQL server where the round wants one."""
    with running_postgres() if one.database == "postgresql" else nullcontext() as server:
        yield server


def main() -> None:
    """Rounds until the time is up; exit status 1 at the first violation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rounds", type=int, help="so many, whatever the time")
    parser.add_argument("--seconds", type=float, default=60, help="of faults, a round")
    parser.add_argument("--seed", type=int, help="of the first round; the next ones follow")
    parser.add_argument("--backlog", type=int, help="traps that come with three days to send [drawn]")
    parser.add_argument("--keep", type=Path, help="folder for logs and databases")
    flags = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if flags.seed is None else flags.seed
    end_s, done = time.monotonic() + flags.minutes * 60, 0
    while done < flags.rounds if flags.rounds else time.monotonic() < end_s:
        one = planned(seed + done, flags.seconds, flags.backlog)
        print(f"seed {one.seed}: {one.database}, {one.replicas} replicas, {one.backlog} backlogs", flush=True)
        with tempfile.TemporaryDirectory() as place, database_of(one) as postgres:
            folder = flags.keep / str(one.seed) if flags.keep else Path(place)
            folder.mkdir(parents=True, exist_ok=True)
            verdict = run_round(one, folder, postgres, tell=True)
        print(f"seed {one.seed}: {verdict}", flush=True)
        if verdict.violations:
            sys.exit(f"again with: python -m server.chaos.run --seed {one.seed} --rounds 1")
        done += 1


if __name__ == "__main__":
    main()
