import contextlib
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trap_agent import outbox as outbox_module
from trap_agent.outbox import FILE_NAME, Outbox, read_account
from trap_contract.errors import ConfigError, StoreError
from trap_contract.messages import AckRange
from trap_contract.topics import TrapAddress

from device.samples import WALL_MS, draft

ADDRESS = TrapAddress("acme", "t-1")
BOOT, NEXT_BOOT = "a" * 32, "b" * 32

WRITER = """
import sys
from pathlib import Path
from device.samples import draft
from device.test_outbox import ADDRESS, BOOT
from trap_agent.outbox import Outbox

outbox = Outbox(Path(sys.argv[1]), ADDRESS, BOOT, 0)
while True:
    print(outbox.store(draft()).seq, flush=True)
"""


@contextlib.contextmanager
def opened(folder: Path, boot: str = BOOT, limit: int = 1000):
    outbox = Outbox(folder, ADDRESS, boot, WALL_MS, limit)
    try:
        yield outbox
    finally:
        outbox.close()


def span(first: int, last: int, boot: str = BOOT) -> AckRange:
    return AckRange(boot=boot, first=first, last=last)


def balances(account: dict) -> bool:
    return account["issued"] == account["acknowledged"] + account["dropped"] + account["pending"]


def test_windows_are_numbered_from_one_and_come_back_as_they_were(tmp_path):
    with opened(tmp_path) as outbox:
        stored = [outbox.store(draft(wall_ms)) for wall_ms in (5, 6, 7)]
        assert [window.seq for window in stored] == [1, 2, 3]
        assert outbox.load(outbox.oldest(9)) == stored


def test_an_acknowledgement_deletes_what_it_names_and_nothing_else(tmp_path):
    with opened(tmp_path) as outbox:
        for _ in range(9):
            outbox.store(draft())
        assert outbox.acknowledge([span(2, 3), span(7, 7)]) == 3
        assert [seq for _, seq in outbox.oldest(9)] == [1, 4, 5, 6, 8, 9]
        assert outbox.held_ranges(9) == (span(1, 1), span(4, 6), span(8, 9))


def test_an_acknowledgement_of_what_is_not_held_changes_nothing(tmp_path):
    with opened(tmp_path) as outbox:
        outbox.store(draft())
        assert outbox.acknowledge([span(1, 2**53 - 1, "c" * 32), span(2, 99)]) == 0
        assert outbox.held == 1
        assert read_account(tmp_path)["acknowledged"] == 0


def test_an_acknowledgement_counts_once_however_often_it_comes(tmp_path):
    with opened(tmp_path) as outbox:
        outbox.store(draft())
        assert [outbox.acknowledge([span(1, 1), span(1, 1)]) for _ in range(2)] == [1, 0]
        assert read_account(tmp_path)["acknowledged"] == 1


def test_the_next_start_finds_what_was_held_and_begins_its_own_numbers(tmp_path):
    with opened(tmp_path) as outbox:
        outbox.store(draft())
    with opened(tmp_path, NEXT_BOOT) as outbox:
        assert outbox.held == 1
        assert outbox.store(draft()).seq == 1
        assert outbox.oldest(9) == [(BOOT, 1), (NEXT_BOOT, 1)]


def test_a_full_outbox_gives_up_the_oldest_and_counts_them(tmp_path):
    with opened(tmp_path, limit=3) as outbox:
        for _ in range(5):
            outbox.store(draft())
        assert [seq for _, seq in outbox.oldest(9)] == [3, 4, 5]
        assert outbox.held == 3
    account = read_account(tmp_path)
    assert (account["issued"], account["dropped"], account["pending"]) == (5, 2, 3)


def test_a_lower_limit_at_the_next_start_is_kept_too(tmp_path):
    with opened(tmp_path) as outbox:
        for _ in range(5):
            outbox.store(draft())
    with opened(tmp_path, NEXT_BOOT, limit=2) as outbox:
        outbox.store(draft())
        assert outbox.oldest(9) == [(BOOT, 5), (NEXT_BOOT, 1)]
    account = read_account(tmp_path)
    assert account["dropped"] == 4
    assert balances(account)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 8),
    st.lists(st.one_of(st.just(None), st.tuples(st.integers(1, 30), st.integers(0, 10))), max_size=30),
)
def test_issued_is_always_acknowledged_plus_dropped_plus_held(tmp_path_factory, limit, steps):
    folder = tmp_path_factory.mktemp("outbox")
    with opened(folder, limit=limit) as outbox:
        for step in steps:
            if step is None:
                outbox.store(draft())
            else:
                outbox.acknowledge([span(step[0], step[0] + step[1])])
        account = read_account(folder)
        assert balances(account)
        assert account["issued"] == steps.count(None)
        assert account["pending"] == outbox.held == len(outbox.oldest(99))


def test_every_commit_is_on_the_disk_before_store_returns(tmp_path):
    with opened(tmp_path) as outbox:
        pragmas = [
            outbox._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    assert pragmas == ["wal", 2]  # 2 is FULL


def test_nothing_that_store_returned_is_lost_by_kill_9(tmp_path):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert writer.stdout is not None
    promised = [int(writer.stdout.readline()) for _ in range(50)]
    writer.send_signal(signal.SIGKILL)
    promised += [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    with opened(tmp_path, NEXT_BOOT) as outbox:
        kept = [seq for _, seq in outbox.oldest(10**6)]
    assert kept[: len(promised)] == promised
    assert len(kept) - len(promised) <= 1


def test_two_agents_never_share_an_outbox(tmp_path):
    with opened(tmp_path), pytest.raises(StoreError, match="another agent uses this outbox"):
        Outbox(tmp_path, ADDRESS, NEXT_BOOT, WALL_MS)


def test_an_outbox_of_another_trap_is_refused(tmp_path):
    with opened(tmp_path):
        pass
    with pytest.raises(ConfigError, match="windows of trap 't-1', tenant 'acme'"):
        Outbox(tmp_path, TrapAddress("acme", "t-2"), NEXT_BOOT, WALL_MS)


def test_a_file_that_is_no_outbox_is_refused_with_the_next_step(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"something else " * 1000)
    with pytest.raises(StoreError, match=rf"{FILE_NAME}: .*not a database: move this file away"):
        Outbox(tmp_path, ADDRESS, BOOT, WALL_MS)


def test_an_outbox_of_a_newer_agent_is_refused(tmp_path):
    with opened(tmp_path):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 3")
    with pytest.raises(StoreError, match="outbox version 3"):
        Outbox(tmp_path, ADDRESS, BOOT, WALL_MS)


def test_an_outbox_of_the_first_version_is_read_on(tmp_path):
    with opened(tmp_path) as outbox:
        outbox.store(draft())
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("DROP TABLE losses")
        connection.execute("PRAGMA user_version = 1")
    with opened(tmp_path, NEXT_BOOT, limit=1) as outbox:
        outbox.store(draft())
        assert [loss.part for loss in outbox.losses(9)] == [span(1, 1)]


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't keep an outbox here"):
        Outbox(tmp_path / "file" / "state", ADDRESS, BOOT, WALL_MS)


def test_a_full_disk_loses_nothing_that_was_stored_and_gives_no_number_away(tmp_path):
    with opened(tmp_path) as outbox:
        outbox.store(draft())
        pages = outbox._connection.execute("PRAGMA page_count").fetchone()[0]
        outbox._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"full: free some space"):
            all(outbox.store(draft()) for _ in range(1000))
        held = outbox.held
        outbox._connection.execute("PRAGMA max_page_count = 1000000")
        assert outbox.store(draft()).seq == held + 1
        assert len(outbox.oldest(9999)) == outbox.held == held + 1
        assert balances(read_account(tmp_path))


class Disk:
    """A disk that takes nothing until it is mended."""

    def __init__(self, monkeypatch) -> None:
        self._real, self.is_full = outbox_module._locked, True
        monkeypatch.setattr(outbox_module, "_locked", self._locked)
        monkeypatch.setattr(outbox_module, "takes_nothing", lambda _: self.is_full)

    def _locked(self, folder: Path):
        if self.is_full:
            raise StoreError(f"{folder}: no space left")
        return self._real(folder)


def test_on_a_disk_that_takes_nothing_windows_are_numbered_and_given_in_memory_and_move_to_it_behind_what_is_there(
    tmp_path, monkeypatch
):
    with opened(tmp_path) as outbox:
        outbox.store(draft(1))
    disk = Disk(monkeypatch)
    with opened(tmp_path, NEXT_BOOT) as outbox:
        stored = [outbox.store(draft(wall_ms)) for wall_ms in (2, 3, 4)]
        assert (outbox.is_on_disk, outbox.held) == (False, 3)
        assert outbox.load(outbox.oldest(9)) == stored
        assert outbox.acknowledge([span(1, 1, NEXT_BOOT)]) == 1
        disk.is_full = False
        outbox.store(draft(5))
        assert (outbox.is_on_disk, outbox.held) == (True, 4)
        assert outbox.oldest(9) == [(BOOT, 1), *((NEXT_BOOT, seq) for seq in (2, 3, 4))]
        account = read_account(tmp_path)
    assert [boot["issued"] for boot in account["boots"]] == [1, 4]
    assert balances(account)


def test_memory_is_bounded_and_what_it_gave_up_is_noted_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox_module, "MOST_IN_MEMORY", 3)
    disk = Disk(monkeypatch)
    with opened(tmp_path) as outbox:
        for _ in range(5):
            outbox.store(draft())
        assert outbox.held == 3
        disk.is_full = False
        outbox.store(draft())
        assert [(loss.part.first, loss.part.last, loss.reason) for loss in outbox.losses(9)] == [(1, 2, "outbox_full")]
        assert outbox.held == 4
        assert balances(read_account(tmp_path))


def test_windows_that_are_lost_with_the_memory_are_an_error_at_the_end(tmp_path, monkeypatch):
    Disk(monkeypatch)
    outbox = Outbox(tmp_path, ADDRESS, BOOT, WALL_MS)
    outbox.store(draft())
    with pytest.raises(StoreError, match="1 windows could not be stored: free some space"):
        outbox.close()


def test_a_disk_that_is_mended_and_holds_another_traps_outbox_is_left_alone(tmp_path, monkeypatch):
    Outbox(tmp_path, TrapAddress("acme", "t-2"), BOOT, WALL_MS).close()
    disk = Disk(monkeypatch)
    with opened(tmp_path, NEXT_BOOT) as outbox:
        disk.is_full = False
        assert outbox.acknowledge([span(1, 1, NEXT_BOOT)]) == 0
        outbox.acknowledge([span(outbox.store(draft()).seq, 9, NEXT_BOOT)])
        assert not outbox.is_on_disk
    assert read_account(tmp_path)["trap"] == "t-2"


def test_a_disk_that_fills_up_later_is_said_too(tmp_path):
    with opened(tmp_path) as outbox:
        assert outbox.is_on_disk
        outbox._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError):
            outbox.store(draft())
        assert not outbox.is_on_disk
        outbox._connection.execute("PRAGMA query_only = OFF")
        outbox.store(draft())
        assert outbox.is_on_disk


def test_a_damaged_window_is_given_up_and_counted_and_the_others_go_on(tmp_path):
    with opened(tmp_path) as outbox:
        for _ in range(3):
            outbox.store(draft())
        outbox._connection.execute("UPDATE windows SET body = '{\"seq\": 2}' WHERE seq = 2")
        assert [window.seq for window in outbox.load(outbox.oldest(9))] == [1, 3]
        assert outbox.held == 2
        account = read_account(tmp_path)
    assert account["dropped"] == 1
    assert balances(account)


def test_the_account_of_a_folder_without_outbox_says_what_to_give(tmp_path):
    with pytest.raises(StoreError, match="give --state-dir"):
        read_account(tmp_path)
