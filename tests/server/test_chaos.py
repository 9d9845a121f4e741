"""Whatever fails, the database tells what the traps said; and the checker that says so sees what is false."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from postgres_server import PostgresServer
from trap_contract.messages import Ack, AckRange, Lost
from trap_contract.topics import TrapAddress
from trap_server.simulation.history import Verdict, compare
from trap_server.simulation.trap import SimulatedTrap
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store
from waiting import until

from server.chaos.faults import NAMES, Faults, schedule
from server.chaos.run import Round, run_round
from server.chaos.world import environment, running_world

BOOT = "b" * 32
MINUTE = 60_000


@pytest.fixture
def trap() -> SimulatedTrap:
    trap = SimulatedTrap(TrapAddress("demo", "t1"), salt=7)
    trap.begin_boot(BOOT, 0)
    trap.count(130 * MINUTE)
    return trap


def deliver(engine: sa.Engine, trap: SimulatedTrap) -> None:
    """Everything it holds is stored and acknowledged."""
    arrivals = [Arrival(trap.address.topic("counts"), one, False, 1) for one in trap.take_counts(0.0)]
    for ranges in Store(engine, "c").commit(sort_arrivals(arrivals)).ranges.values():
        trap.hear(Ack(trap=trap.address.trap, ranges=ranges))


def verdict(engine: sa.Engine, *traps: SimulatedTrap) -> Verdict:
    with engine.begin() as connection:
        return compare(connection, traps, settled=True)


def test_what_was_said_and_stored_has_no_violation(engine: sa.Engine, trap: SimulatedTrap):
    deliver(engine, trap)
    assert verdict(engine, trap) == Verdict(130, 130, 130, 0, 0, ())


@pytest.mark.parametrize(
    ("statement", "violation"),
    [
        ("DELETE FROM windows WHERE seq = 5", "acknowledged and not stored"),
        ("UPDATE windows SET counts = '{\"Female\": 99}' WHERE seq = 5", "stored as nobody said it"),
        ("UPDATE windows SET wall_ms = 1 WHERE seq = 5", "stored as nobody said it"),
        ("UPDATE windows SET seq = 1000 WHERE seq = 5", "stored as nobody said it"),
        ("UPDATE boots SET missing = '[[5, 5]]'", "not those of the rows"),
        ("UPDATE boots SET lost = '[[131, 140]]', last = 140", "called lost, which the trap never said"),
    ],
)
def test_the_checker_sees_what_is_false(engine: sa.Engine, trap: SimulatedTrap, statement: str, violation: str):
    deliver(engine, trap)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    assert any(violation in told for told in verdict(engine, trap).violations)


def test_what_was_said_and_never_came_is_a_violation(engine: sa.Engine, trap: SimulatedTrap):
    deliver(engine, trap)
    trap.count(131 * MINUTE)
    assert any("were said and are not stored" in told for told in verdict(engine, trap).violations)


def test_what_is_given_up_is_a_gap_and_no_violation(engine: sa.Engine, trap: SimulatedTrap):
    trap.most_held = 100
    trap.count(131 * MINUTE)
    (payload,) = trap.take_lost(0.0)
    batch = sort_arrivals([Arrival(trap.address.topic("lost"), payload, False, 1)])
    Store(engine, "c").commit(batch)
    assert Lost.model_validate_json(payload).ranges == (AckRange(boot=BOOT, first=1, last=31),)
    deliver(engine, trap)
    found = verdict(engine, trap)
    assert (found.stored, found.given_up, found.violations) == (100, 31, ())


def test_clones_collide_and_both_are_kept(engine: sa.Engine, trap: SimulatedTrap):
    clone = SimulatedTrap(trap.address, salt=8)
    clone.begin_boot(BOOT, 0)
    clone.count(130 * MINUTE)
    deliver(engine, trap)
    deliver(engine, clone)
    found = verdict(engine, trap, clone)
    assert found.violations == ()
    same = sum(trap.counts(BOOT, seq) == clone.counts(BOOT, seq) for seq in range(1, 131))
    assert found.collisions == 130 - same > 100


def test_at_most_eight_messages_are_on_their_way_and_each_goes_again_after_a_while(trap: SimulatedTrap):
    trap.count(1000 * MINUTE)
    first = trap.take_counts(0.0)
    assert len(first) == 8
    assert trap.take_counts(59.0) == []
    assert trap.take_counts(61.0) == first


def test_a_seed_always_gives_the_same_faults_and_every_kind_comes():
    assert schedule(3, 100) == schedule(3, 100) != schedule(4, 100)
    assert {one.name for one in schedule(3, 100)} == set(NAMES)


@pytest.mark.parametrize(("database", "seed", "replicas"), [("sqlite", 2, 1), ("sqlite", 5, 2), ("postgresql", 3, 3)])
def test_under_faults_everything_said_is_stored_once(
    tmp_path: Path, request: pytest.FixtureRequest, database: str, seed: int, replicas: int
):
    postgres: PostgresServer | None = request.getfixturevalue("postgres") if database == "postgresql" else None
    found = run_round(Round(seed, 6.0, database, replicas, traps=3), tmp_path, postgres)
    assert found.violations == ()
    assert found.said >= found.stored + found.given_up > 0  # clones say a number twice


@pytest.mark.parametrize(("whose", "refused"), [("the_broker", 2), ("a_trap", 1)])
def test_what_is_counted_while_a_certificate_has_expired_is_stored_once_it_is_renewed(
    tmp_path: Path, whose: str, refused: int
):
    environment()
    database = f"sqlite:///{tmp_path / 'counts.db'}"
    with running_world(tmp_path, database, seed=1, replicas=1, traps=2) as world:
        until(lambda: all(speaker.is_ready for speaker in world.speakers), "every trap is connected")
        heal = Faults(world, None).begin(f"certificate_of_{whose}_expired")
        until(lambda: sum(not speaker.is_ready for speaker in world.speakers) == refused, "those are refused")
        until(lambda: sum(trap.held() > 50 for trap in world.traps) >= refused, "what they hold grows")
        assert sum(not speaker.is_ready for speaker in world.speakers) == refused
        heal()
        found = world.settle()
    assert found.violations == ()
    assert found.stored == found.said > 100


def test_a_collector_of_a_group_that_dies_holding_a_batch_costs_nothing(tmp_path: Path):
    """Two collectors share; each in its turn dies before it commits, after it, and after the PUBACKs."""
    environment()
    database = f"sqlite:///{tmp_path / 'counts.db'}"
    with running_world(tmp_path, database, seed=1, replicas=2, traps=2) as world:
        faults = Faults(world, None)
        for point in ("before_commit", "after_commit", "after_ack"):
            until(lambda: all(replica.is_collecting() for replica in world.replicas), "all collect")
            running = [replica.process for replica in world.replicas]
            faults.begin(f"collector_killed_{point}")
            until(lambda running=running: any(one and one.poll() is not None for one in running), "one has died")
        assert world.settle().violations == ()
