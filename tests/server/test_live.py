"""Live events: committed rows only, each once, also over a broken connection."""

import json

import pytest
import sqlalchemy as sa
from trap_server.live import LIMIT, Feed, News
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Heartbeat, Store

from server.test_evidence import arrival, make_evidence
from server.traps import NOON_MS, make_batch, make_state, make_window

NOW_MS = NOON_MS + 3600_000


@pytest.fixture
def store(engine: sa.Engine) -> Store:
    return Store(engine, "c")


def commit(store: Store, *seqs: int) -> None:
    for first in range(0, len(seqs), 60):
        payload = make_batch([make_window(seq) for seq in seqs[first : first + 60]])
        store.commit(sort_arrivals([Arrival("mt/v1/demo/t1/counts", payload, False, NOW_MS)]))


def told(feed: Feed, name: str, now_ms: int = NOW_MS) -> list[dict[str, object]]:
    events, _ = feed.poll(now_ms)
    return [json.loads(news.data) for news in events if news.kind == name]


def last_id(events: list[News]) -> int:
    return [news.row_id for news in events if news.row_id is not None][-1]


def test_a_page_that_comes_anew_is_told_only_what_is_committed_from_now_on(store: Store, engine: sa.Engine):
    commit(store, 1, 2)
    feed = Feed(engine, after=None)
    assert told(feed, "window") == []
    commit(store, 3)
    assert [one["seq"] for one in told(feed, "window")] == [3]
    assert told(feed, "window") == []


def test_a_page_that_resumes_misses_and_repeats_nothing(store: Store, engine: sa.Engine):
    commit(store, 1, 2)
    events, _ = Feed(engine, after=0).poll(NOW_MS)
    commit(store, 9, 3)
    resumed = Feed(engine, after=last_id(events))
    assert [one["seq"] for one in told(resumed, "window")] == [9, 3]


def test_a_long_absence_is_told_in_parts(store: Store, engine: sa.Engine):
    commit(store, *range(1, LIMIT + 11))
    feed = Feed(engine, after=0)
    first, more = feed.poll(NOW_MS)
    assert (sum(news.kind == "window" for news in first), more) == (LIMIT, True)
    assert len(told(feed, "window")) == 10


def test_an_uncommitted_row_is_not_told(store: Store, engine: sa.Engine, database_url: str):
    commit(store, 1)
    reader = Feed(sa.create_engine(database_url), after=0)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE windows SET seq = 99")
        assert [one["seq"] for one in told(reader, "window")] == [1]
        connection.rollback()


def test_an_id_from_another_database_begins_at_the_newest_row(store: Store, engine: sa.Engine):
    commit(store, 1)
    feed = Feed(engine, after=10**9)
    assert told(feed, "window") == []
    commit(store, 2)
    assert [one["seq"] for one in told(feed, "window")] == [2]


def test_a_trap_is_told_at_first_and_whenever_its_state_changes(store: Store, engine: sa.Engine):
    commit(store, 1)
    feed = Feed(engine, after=None)
    assert [one["status"] for one in told(feed, "trap")] == ["online"]
    assert told(feed, "trap") == []
    offline = make_state("offline").model_dump_json().encode()
    store.commit(sort_arrivals([Arrival("mt/v1/demo/t1/state", offline, False, NOW_MS)]))
    assert [one["status"] for one in told(feed, "trap")] == ["offline"]


def test_a_trap_that_falls_silent_is_told_although_nothing_was_stored(store: Store, engine: sa.Engine):
    commit(store, 1)
    feed = Feed(engine, after=None)
    feed.poll(NOW_MS)
    assert [one["status"] for one in told(feed, "trap", NOW_MS + 301_000)] == ["silent"]


def test_the_state_of_ingest_is_told_when_it_changes(store: Store, engine: sa.Engine):
    store.beat(Heartbeat(now_ms=NOW_MS, connected=True))
    feed = Feed(engine, after=None)
    assert told(feed, "ingest") == [{"ingest": "connected"}]
    assert told(feed, "ingest") == []
    assert told(feed, "ingest", NOW_MS + 31_000) == [{"ingest": "silent"}]


def test_a_trap_whose_picture_was_stored_is_told_once(store: Store, engine: sa.Engine):
    store.commit(sort_arrivals([arrival(make_evidence(1))]))
    feed = Feed(engine, after=None)
    assert told(feed, "picture") == []
    other = arrival(make_evidence(4, trap="t2"), topic="mt/v1/demo/t2/evidence")
    store.commit(sort_arrivals([arrival(make_evidence(2)), arrival(make_evidence(3)), other]))
    assert sorted(str(one["trap"]) for one in told(feed, "picture")) == ["t1", "t2"]
    assert told(feed, "picture") == []
