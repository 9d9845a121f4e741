import json

import pytest
from trap_agent import sinks
from trap_agent.outbox import read_account
from trap_agent.sinks import LineSink, OutboxSink
from trap_contract.errors import StoreError
from trap_contract.messages import Window

from device.samples import draft
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


def test_memory_holds_a_bounded_number_and_the_loss_is_an_error_even_when_the_disk_is_back(tmp_path, monkeypatch):
    monkeypatch.setattr(sinks, "UNSTORED_LIMIT", 10)
    with opened(tmp_path) as outbox:
        sink = OutboxSink(outbox, lambda _: None)
        limit_pages(outbox, 1)
        for number in range(100):
            sink.accept(draft(number))
        limit_pages(outbox, 1_000_000)
        with pytest.raises(StoreError, match="windows were lost"):
            sink.close()
        assert outbox.load(outbox.oldest(999))[-1].wall_ms == 99
    account = read_account(tmp_path)
    assert account["issued"] == account["pending"] < 100
