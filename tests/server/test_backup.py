"""A backup is whole, is taken while others write, and goes back into either kind of database."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from trap_contract.errors import StoreError
from trap_contract.messages import Ack
from trap_contract.topics import TrapAddress
from trap_server import schema
from trap_server.backup import back_up, restore
from trap_server.database import open_database
from trap_server.simulation.history import compare
from trap_server.simulation.trap import SimulatedTrap
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Heartbeat, Store

from server.running import rows

MINUTE = 60_000


def fill(engine: sa.Engine, traps: int = 3) -> list[SimulatedTrap]:
    """Windows, ledgers, clocks, quarantine, and roll-ups of some."""
    store, made = Store(engine, "c"), []
    store.beat(Heartbeat(now_ms=1, connected=True))
    for number in range(traps):
        trap = SimulatedTrap(TrapAddress("demo", f"t{number}"), salt=number)
        trap.begin_boot(f"{number + 1:032x}", 1_790_000_000_000)
        trap.count(1_790_000_000_000 + 200 * MINUTE)
        arrivals = [Arrival(trap.address.topic("counts"), one, False, 1) for one in trap.take_counts(0.0)]
        arrivals.append(Arrival(trap.address.topic("counts"), bytes([0, 255, number]), False, 1))
        for ranges in store.commit(sort_arrivals(arrivals)).ranges.values():
            trap.hear(Ack(trap=trap.address.trap, ranges=ranges))
        made.append(trap)
    store.roll_up(limit=5)
    return made


def content(engine: sa.Engine) -> dict[str, list[dict[str, object]]]:
    return {table.name: rows(engine, table) for table in schema.metadata.sorted_tables}


def test_what_is_restored_is_what_was_backed_up(
    engine: sa.Engine, database_url: str, tmp_path: Path, request: pytest.FixtureRequest
):
    traps = fill(engine)
    before = content(engine)
    backup = tmp_path / "backup.db"
    copied = back_up(database_url, backup, lambda _done: None)
    assert copied.rows["windows"] == 600
    target = f"sqlite:///{tmp_path / 'again.db'}"
    restore(backup, target, lambda _done: None)
    assert content(open_database(target)) == before
    with open_database(target).begin() as connection:
        assert compare(connection, traps, settled=True).violations == ()


def test_a_backup_of_sqlite_moves_to_postgresql_and_collecting_goes_on(
    tmp_path: Path, sqlite_url: str, postgresql_url: str
):
    source = open_database(sqlite_url)
    fill(source)
    back_up(sqlite_url, tmp_path / "backup.db", lambda _done: None)
    restore(tmp_path / "backup.db", postgresql_url, lambda _done: None)
    target = open_database(postgresql_url)
    assert content(target) == content(source)
    fill(target, traps=4)  # three are there already, the fourth gets new numbers
    assert len(rows(target, schema.windows)) == 800


def test_a_backup_is_of_one_moment_while_a_collector_writes(engine: sa.Engine, database_url: str, tmp_path: Path):
    fill(engine)
    ending, store = threading.Event(), Store(engine, "c")

    def write() -> None:
        trap = SimulatedTrap(TrapAddress("demo", "busy"), salt=9)
        trap.begin_boot("f" * 32, 1_790_000_000_000)
        for minute in range(1, 10_000):
            if ending.is_set():
                return
            trap.count(1_790_000_000_000 + minute * MINUTE)
            store.commit(
                sort_arrivals([Arrival(trap.address.topic("counts"), trap.take_counts(minute * 99.0)[0], False, 1)])
            )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        back_up(database_url, tmp_path / "backup.db", lambda _done: None)
    finally:
        ending.set()
        writer.join()
    copy = open_database(f"sqlite:///{tmp_path / 'backup.db'}")
    found = content(copy)
    stored = [row["seq"] for row in found["windows"] if row["trap"] == "busy"]
    (ledger,) = [row for row in found["boots"] if row["trap"] == "busy"] or [{"last": 0, "missing": []}]
    assert (stored, ledger["missing"]) == (list(range(1, ledger["last"] + 1)), [])


def test_a_backup_is_for_its_owner_alone_and_never_overwrites(engine: sa.Engine, database_url: str, tmp_path: Path):
    out = tmp_path / "backup.db"
    back_up(database_url, out, lambda _done: None)
    assert out.stat().st_mode & 0o077 == 0
    with pytest.raises(StoreError, match="is there already"):
        back_up(database_url, out, lambda _done: None)
    assert sorted(path.name for path in tmp_path.glob("*backup*")) == ["backup.db"]


def test_a_damaged_or_foreign_file_is_refused_and_leaves_nothing(tmp_path: Path):
    for content_ in (b"", b"no database" * 1000):
        (tmp_path / "bad.db").write_bytes(content_)
        with pytest.raises(StoreError, match=r"no backup|not a database"):
            restore(tmp_path / "bad.db", f"sqlite:///{tmp_path / 'new.db'}", lambda _done: None)
        assert [path.name for path in tmp_path.iterdir()] == ["bad.db"]


def test_a_database_that_has_something_is_not_overwritten(tmp_path: Path, sqlite_url: str, postgresql_url: str):
    fill(open_database(sqlite_url))
    fill(open_database(postgresql_url))
    back_up(sqlite_url, tmp_path / "backup.db", lambda _done: None)
    with pytest.raises(StoreError, match="empty one"):
        restore(tmp_path / "backup.db", postgresql_url, lambda _done: None)
    with pytest.raises(StoreError, match="is there already"):
        restore(tmp_path / "backup.db", sqlite_url, lambda _done: None)
