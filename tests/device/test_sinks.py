import contextlib
import json
import subprocess
from functools import partial

import pytest
from trap_agent import sinks
from trap_agent.sinks import LineSink, OutboxSink
from trap_agent.windows import Draft
from trap_contract.errors import StoreError
from trap_contract.messages import Effort, Gap, Window

from device.samples import WALL_MS, draft
from device.test_outbox import opened


def test_lines_are_windows_numbered_within_one_boot():
    lines: list[str] = []
    sink = LineSink(lines.append)
    for _ in range(3):
        sink.accept(draft())
    windows = [Window.model_validate_json(line) for line in lines]
    assert [window.seq for window in windows] == [1, 2, 3]
    assert len({window.boot for window in windows}) == 1
    assert json.loads(lines[0])["counts"] is None


def limit_pages(outbox, count: int) -> None:
    outbox._connection.execute(f"PRAGMA max_page_count = {count}")


def test_windows_wait_in_memory_while_the_disk_is_full_and_are_stored_in_order_after(tmp_path):
    told: list[Window] = []
    with opened(tmp_path) as outbox:
        sink = OutboxSink(outbox, told.append)
        limit_pages(outbox, 1)  # SQLite raises it to what the file has
        for number in range(100):
            sink.accept(draft(number))
        assert outbox.held < 100
        limit_pages(outbox, 1_000_000)
        sink.close()
        assert [window.wall_ms for window in outbox.load(outbox.oldest(999))] == list(range(100))
        assert [window.seq for window in told] == list(range(1, 101))


def test_windows_that_never_could_be_stored_are_an_error_at_the_end(tmp_path):
    with opened(tmp_path) as outbox:
        sink = OutboxSink(outbox, lambda _: None)
        limit_pages(outbox, 1)
        for number in range(100):
            sink.accept(draft(number))
        with pytest.raises(StoreError, match=f"^{100 - outbox.held} windows could not be stored: .*free some space"):
            sink.close()


def side_by_side(count: int) -> list[Draft]:
    """Windows of a second, in each of which something was seen."""
    seen = {"counts": {"Female": 1}, "effort": Effort(observed_s=1, frames_seen=5, frames_analysed=5)}
    return [partial(draft(WALL_MS + 1000 * n), mono_ms=1000 * n, **seen) for n in range(count)]


def test_what_memory_can_not_hold_is_told_as_a_gap_once_the_disk_is_back(tmp_path, monkeypatch):
    monkeypatch.setattr(sinks, "UNSTORED_LIMIT", 10)
    told: list[Window] = []
    with opened(tmp_path) as outbox:
        sink = OutboxSink(outbox, told.append)
        limit_pages(outbox, 1)
        for each in side_by_side(100):
            sink.accept(each)
        fitted = outbox.held
        assert len(sink._waiting) == 10
        assert len(sink._emptied) == 1
        limit_pages(outbox, 1_000_000)
        sink.close()
        windows = outbox.load(outbox.oldest(999))
    assert windows == told
    assert [window.mono_ms for window in windows] == [1000 * n for n in range(100)]
    assert [window.wall_ms for window in windows] == [WALL_MS + 1000 * n for n in range(100)]
    lost = windows[fitted:-10]
    assert all(window.counts == {"Female": 1} for window in (*windows[:fitted], *windows[-10:]))
    assert {(window.counts, window.effort.observed_s, window.effort.gaps) for window in lost} == {
        (None, 0, (Gap(reason="disk", seconds=1),))
    }


def test_lost_windows_that_do_not_lie_side_by_side_keep_their_own_times(tmp_path, monkeypatch):
    monkeypatch.setattr(sinks, "UNSTORED_LIMIT", 1)
    with opened(tmp_path) as outbox:
        sink = OutboxSink(outbox, lambda _: None)
        outbox._connection.execute("PRAGMA query_only = ON")
        drafts = side_by_side(20)
        kept = [*drafts[:5], *drafts[9:12], partial(drafts[13], duration_ms=500), drafts[14]]
        for each in kept:
            sink.accept(each)
        outbox._connection.execute("PRAGMA query_only = OFF")
        sink.close()
        windows = outbox.load(outbox.oldest(99))
    assert [window.mono_ms // 1000 for window in windows] == [0, 1, 2, 3, 4, 9, 10, 11, 13, 14]
    assert [gap.seconds for window in windows for gap in window.effort.gaps] == [1] * 8 + [0.5]


def test_a_real_disk_that_fills_up_costs_only_what_is_told(tmp_path, full_disk):
    with opened(full_disk) as outbox:
        sink = OutboxSink(outbox, lambda _: None)
        ballast = full_disk / "ballast"
        ballast.write_bytes(b"")
        with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(65536))
        for each in side_by_side(60):
            sink.accept(each)
        assert sink._waiting
        ballast.unlink()
        sink.close()
        assert [window.mono_ms for window in outbox.load(outbox.oldest(99))] == [1000 * n for n in range(60)]


@pytest.fixture
def full_disk(tmp_path):
    """A real file system of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
