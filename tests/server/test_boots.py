"""What is missing and lost is in the books with the windows themselves, and asked for with patience."""

import pytest
import sqlalchemy as sa
from trap_contract.messages import AckRange, Answer, Health, Lost
from trap_contract.topics import TrapAddress
from trap_server import schema
from trap_server.boots import AGAIN_MS, QUIET_MS
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import HEALTH_KEPT_MS, Committed, Store

from server.running import rows
from server.traps import BOOT, make_batch, make_birth, make_state, make_window

ADDRESS = TrapAddress("demo", "t1")
OLD = "e" * 32


@pytest.fixture
def store(engine: sa.Engine) -> Store:
    return Store(engine, "c")


def tell(store: Store, leaf: str, payload: bytes | str, now_ms: int = 1000) -> Committed:
    content = payload.encode() if isinstance(payload, str) else payload
    return store.commit(sort_arrivals([Arrival(f"mt/v1/demo/t1/{leaf}", content, False, now_ms)]))


def send(store: Store, *seqs: int, now_ms: int = 1000) -> None:
    tell(store, "counts", make_batch([make_window(seq) for seq in seqs]), now_ms)


def say_lost(store: Store, first: int, last: int) -> Committed:
    lost = Lost(trap="t1", ranges=(AckRange(boot=BOOT, first=first, last=last),), reason="outbox_full")
    return tell(store, "lost", lost.model_dump_json())


def appear(store: Store, now_ms: int, *held: AckRange) -> None:
    tell(store, "birth", make_birth(held=held).model_dump_json(), now_ms)
    tell(store, "state", make_state("online").model_dump_json(), now_ms)


def book(engine: sa.Engine) -> dict[str, object]:
    return next(row for row in rows(engine, schema.boots) if row["boot"] == BOOT)


def test_what_is_lost_is_no_longer_missing_and_what_comes_after_all_is_no_longer_lost(store: Store, engine: sa.Engine):
    send(store, 1, 9)
    told = [say_lost(store, 2, 6) for _ in range(2)]
    send(store, 4)
    assert (book(engine)["missing"], book(engine)["lost"]) == ([[7, 8]], [[2, 3], [5, 6]])
    assert [one.given_up[0].lost.ranges[0].last for one in told] == [6, 6], "each repetition is acknowledged"
    (kept,) = rows(engine, schema.losses)
    assert (kept["first"], kept["last"], kept["reason"]) == (2, 6, "outbox_full")


def test_a_window_that_is_stored_can_not_be_given_up(store: Store, engine: sa.Engine):
    send(store, 1, 2, 3)
    say_lost(store, 2, 5)
    assert (book(engine)["last"], book(engine)["lost"], len(rows(engine, schema.windows))) == (5, [[4, 5]], 3)


def test_what_a_trap_holds_of_an_older_boot_is_missing_until_it_comes(store: Store, engine: sa.Engine):
    appear(store, 1000, AckRange(boot=OLD, first=3, last=5))
    (kept,) = rows(engine, schema.boots)
    assert (kept["boot"], kept["last"], kept["missing"]) == (OLD, 5, [[1, 5]])


def test_a_gap_is_asked_for_when_nothing_has_filled_it_for_a_while_and_then_rarely(store: Store):
    appear(store, 0)
    send(store, 1, 4, now_ms=0)
    send(store, 5, 8, now_ms=QUIET_MS - 1)
    assert store.take_requests(QUIET_MS) == [], "something came meanwhile"
    (request,) = store.take_requests(2 * QUIET_MS)
    assert (request.address, [(one.first, one.last) for one in request.ranges]) == (ADDRESS, [(2, 3), (6, 7)])
    assert store.take_requests(2 * QUIET_MS + AGAIN_MS - 1) == []
    assert len(store.take_requests(2 * QUIET_MS + AGAIN_MS)) == 1


def test_a_trap_that_is_away_is_not_asked_and_one_that_came_back_is_given_time(store: Store):
    appear(store, 0)
    send(store, 1, 4, now_ms=0)
    tell(store, "state", make_state("offline").model_dump_json())
    assert store.take_requests(QUIET_MS) == []
    appear(store, 10 * QUIET_MS)
    assert store.take_requests(11 * QUIET_MS - 1) == []
    assert len(store.take_requests(11 * QUIET_MS)) == 1


def test_health_is_forgotten_after_a_season(store: Store, engine: sa.Engine):
    told = Health(trap="t1", boot=BOOT, wall_ms=1).model_dump_json()
    for now_ms in (1000, 1001, 1001 + HEALTH_KEPT_MS):
        tell(store, "health", told, now_ms)
    assert [row["received_at_ms"] for row in rows(engine, schema.health)] == [1001, 1001 + HEALTH_KEPT_MS]


def test_health_is_kept_as_history_and_of_answers_the_last(store: Store, engine: sa.Engine):
    for celsius in (50.0, 61.0):
        health = Health(trap="t1", boot=BOOT, wall_ms=1, soc_celsius=celsius)
        tell(store, "health", health.model_dump_json())
    for state in ("running", "done"):
        tell(store, "answer", Answer(trap="t1", id=OLD, state=state, text="ok").model_dump_json())
    assert [Health.model_validate_json(str(row["body"])).soc_celsius for row in rows(engine, schema.health)] == [50, 61]
    (answer,) = rows(engine, schema.command_answers)
    assert (answer["command"], answer["state"], answer["text"]) == (OLD, "done", "ok")
