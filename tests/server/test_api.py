"""The API over a real database, with the clock standing still."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from trap_contract.messages import AckRange, Window
from trap_server.small_bodies import MOST_BYTES
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Heartbeat, Store

from server.clients import client_of, come_in
from server.traps import BOOT, NOON_MS, make_batch, make_birth, make_state, make_window

NOW_MS = NOON_MS + 100 * 60_000
NEXT_BOOT = "f" * 32
Commit = Callable[..., None]


@pytest.fixture
def commit(engine: sa.Engine) -> Commit:
    store = Store(engine, "c")
    store.beat(Heartbeat(now_ms=NOW_MS, connected=True))

    def store_windows(*windows: Window, trap: str = "t1") -> None:
        for first in range(0, len(windows), 60):
            payload = make_batch(windows[first : first + 60], trap)
            store.commit(sort_arrivals([Arrival(f"mt/v1/demo/{trap}/counts", payload, False, NOW_MS - 1000)]))

    return store_windows


@pytest.fixture
def tell(engine: sa.Engine) -> Commit:
    def store_word(leaf: str, payload: str) -> None:
        arrival = Arrival(f"mt/v1/demo/t1/{leaf}", payload.encode(), False, NOW_MS - 1000)
        Store(engine, "c").commit(sort_arrivals([arrival]))

    return store_word


@pytest.fixture
def client(database_url: str, engine: sa.Engine) -> Iterator[TestClient]:
    with client_of(database_url, engine, lambda: NOW_MS) as client:
        come_in(client, engine, NOW_MS)
        yield client


def get(client: TestClient, path: str) -> Any:
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_null_counts_stay_null(client: TestClient, commit: Commit):
    commit(make_window(1, females=None), make_window(2, females=0, males=0))
    windows = get(client, "traps/demo/t1/windows")["windows"]
    assert windows[0]["counts"] is None
    assert windows[1]["counts"]["Female"] == 0
    assert [point["counts"]["Female"] for point in get(client, "traps/demo/t1/day")["points"]] == [0]


def test_occupancy_is_never_summed(client: TestClient, commit: Commit):
    commit(make_window(1, females=3, males=1), make_window(2, females=5, males=0))
    day = get(client, "traps")["traps"][0]["day"]
    assert day["caught"] is None
    assert day["most_at_once"] == {"Female": 5, "Male": 1, "Incomplete": 0, "Out of Focus": 2, "Undefined": 0}
    assert day["windows"] == 2
    assert get(client, "traps/demo/t1/day")["totals"] == day


def test_arrivals_are_summed(client: TestClient, commit: Commit):
    commit(*(make_window(seq, females=seq, semantics="arrivals") for seq in (1, 2, 3)))
    day = get(client, "traps/demo/t1")["day"]
    assert day["caught"] == {"Female": 6, "Male": 3, "Incomplete": 0, "Out of Focus": 6, "Undefined": 0}
    assert day["most_at_once"] is None


def test_pages_of_windows_hold_each_window_once(client: TestClient, commit: Commit):
    commit(*(make_window(seq, wall_ms=NOON_MS + seq // 3) for seq in range(1, 26)))
    seqs, cursor = [], "0-0"
    while cursor:
        page = get(client, f"traps/demo/t1/windows?limit=4&cursor={cursor}")
        seqs += [window["seq"] for window in page["windows"]]
        cursor = page["next_cursor"]
    assert sorted(seqs) == list(range(1, 26))


def test_since_is_included_and_until_is_not(client: TestClient, commit: Commit):
    commit(*(make_window(seq) for seq in (1, 2, 3)))
    found = get(client, f"traps/demo/t1/windows?since={NOON_MS + 60_000}&until={NOON_MS + 120_000}")["windows"]
    assert [window["seq"] for window in found] == [1]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=1000000000000", "since=-1", "since=x", "until=1e300", "cursor=1", "limit="],
)
def test_a_query_beyond_its_bounds_is_refused(client: TestClient, commit: Commit, query: str):
    commit(make_window(1))
    assert client.get(f"/api/v1/traps/demo/t1/windows?{query}").status_code == 422


def test_an_unknown_trap_is_named(client: TestClient):
    answer = client.get("/api/v1/traps/demo/nobody/day")
    assert answer.status_code == 404
    assert "'nobody'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("stored", "minute"), [([1, 2, 3], 4), ([1, 2, 5, 6], 3), ([2, 3], None), ([], None), ([1], 2)]
)
def test_complete_up_to_the_first_hole(
    client: TestClient, commit: Commit, tell: Commit, stored: list[int], minute: Any
):
    tell("birth", make_birth().model_dump_json())
    if stored:
        commit(*(make_window(seq) for seq in stored))
    complete = get(client, "traps/demo/t1")["complete_to_ms"]
    assert complete == (None if minute is None else NOON_MS + minute * 60_000)


def test_windows_that_a_trap_still_holds_of_an_older_boot_bound_completeness(
    client: TestClient, commit: Commit, tell: Commit
):
    commit(make_window(1), make_window(2), make_window(1, boot=NEXT_BOOT, wall_ms=NOON_MS + 600_000))
    held = (AckRange(boot=BOOT, first=2, last=4), AckRange(boot=NEXT_BOOT, first=1, last=1))
    tell("birth", make_birth(boot=NEXT_BOOT, held=held).model_dump_json())
    assert get(client, "traps/demo/t1")["complete_to_ms"] == NOON_MS + 3 * 60_000
    commit(make_window(3), make_window(4))
    assert get(client, "traps/demo/t1")["complete_to_ms"] == NOON_MS + 660_000


def test_a_window_from_the_far_future_is_kept_off_the_time_axis(client: TestClient, commit: Commit):
    commit(make_window(1), make_window(2, wall_ms=NOW_MS + 10**10))
    assert get(client, "traps/demo/t1")["window"]["seq"] == 1
    assert len(get(client, "traps/demo/t1/day")["points"]) == 1
    assert len(get(client, "traps/demo/t1/windows")["windows"]) == 2


def test_a_young_trap_has_no_gap_before_its_first_window(client: TestClient, commit: Commit):
    commit(*(make_window(seq) for seq in range(90, 100)))
    day = get(client, "traps/demo/t1/day")
    assert day["since_ms"] == NOON_MS + 90 * 60_000
    assert day["gaps"] == []


def test_the_summary_counts_only_what_is_in_the_pictures_now(client: TestClient, commit: Commit, tell: Commit):
    commit(make_window(1, females=3), make_window(2, females=4))
    commit(make_window(1, females=2), trap="t2")
    tell("state", make_state("offline").model_dump_json())
    summary = get(client, "summary")
    assert summary["in_the_picture"] == {"Female": 2, "Male": 1, "Incomplete": 0, "Out of Focus": 2, "Undefined": 0}
    assert (summary["traps"], summary["windows_stored"]) == ({"offline": 1, "online": 1}, 3)
    assert summary["ingest"] == "connected"


def test_pages_of_traps_hold_each_trap_once(client: TestClient, commit: Commit):
    for name in ("t3", "t1", "t2"):
        commit(make_window(1), trap=name)
    first = get(client, "traps?limit=2")
    second = get(client, f"traps?limit=2&cursor={first['next_cursor']}")
    assert [trap["trap"] for trap in first["traps"] + second["traps"]] == ["t1", "t2", "t3"]
    assert second["next_cursor"] is None


def announced(size: int) -> bytes:
    return b"x" * size


def in_parts(size: int) -> Iterator[bytes]:
    """Sent without a content-length."""
    yield from (b"x" * 1000 for _ in range(size // 1000))


@pytest.mark.parametrize("body", [announced, in_parts])
def test_a_body_that_is_far_too_long_is_refused(client: TestClient, body: Callable[[int], bytes | Iterator[bytes]]):
    answer = client.post("/api/v1/login", content=body(MOST_BYTES + 1000))
    assert (answer.status_code, answer.json()) == (413, {"detail": f"the body is longer than {MOST_BYTES} bytes"})
    assert client.post("/api/v1/login", content=body(MOST_BYTES)).status_code == 422


def test_ready_only_while_ingest_reports(database_url: str, client: TestClient, engine: sa.Engine):
    assert client.get("/readyz").status_code == 503
    Store(engine, "c").beat(Heartbeat(now_ms=NOW_MS - 29_000, connected=False))
    assert client.get("/readyz").json() == {"ready": True, "database": "reachable", "ingest": "disconnected"}
    with client_of(database_url, engine, lambda: NOW_MS + 2000) as later:
        assert later.get("/readyz").json()["ingest"] == "silent"
    assert client.get("/healthz").json() == {"alive": True}


def test_a_database_that_is_gone_is_reported_and_not_hidden(client: TestClient, engine: sa.Engine):
    with engine.begin() as connection:
        for table in ("collectors", "traps"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
    assert client.get("/readyz").json()["database"] == "unreachable"
    answer = client.get("/api/v1/traps")
    assert answer.status_code == 503
    assert "can't be read" in answer.json()["detail"]


def test_metrics_tell_what_ingest_counted(client: TestClient, commit: Commit):
    commit(make_window(1))
    commit(make_window(1), make_window(2, females=7))
    text = client.get("/metrics").text
    assert 'zancudo_stored_total{collector="c"} 2.0' in text
    assert 'zancudo_duplicates_total{collector="c"} 1.0' in text
    assert 'zancudo_broker_connected{collector="c"} 1.0' in text
    assert 'zancudo_traps{state="online"} 1.0' in text


def test_the_openapi_document_describes_every_answer(client: TestClient):
    document = get(client, "openapi.json")
    assert "/api/v1/traps/{tenant}/{trap}/day" in document["paths"]
    assert document["components"]["schemas"]["WindowAnswer"]["properties"]["counts"]["anyOf"][1] == {"type": "null"}


def test_no_answer_allows_inline_scripts_or_foreign_hosts(client: TestClient):
    for path in ("/", "/api/v1/traps", "/static/js/fleet.js", "/nothing", "/healthz"):
        policy = client.get(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy


def test_no_page_has_an_inline_script_or_asks_another_host(client: TestClient, commit: Commit):
    commit(make_window(1))
    for path in ("/", "/traps/demo/t1", "/nights", "/quality", "/review", "/alerts", "/operate"):
        page = client.get(path).text
        assert re.findall(r"<script(?! type=.application/json.)(?![^>]* src=)", page) == [], path
        assert re.findall(r"""(?:src|href)=["'](?![/#])""", page) == [], path
        assert re.findall(r"\son\w+=|style=", page) == [], path


def test_an_empty_fleet_says_what_to_do_next(client: TestClient):
    assert "trap-agent --model" in client.get("/").text


def test_a_trap_may_change_its_model_within_the_day(client: TestClient, commit: Commit):
    commit(make_window(1), make_window(2, counts={"mosquito": 9}))
    points = get(client, "traps/demo/t1/day")["points"]
    assert [max(point["counts"]) for point in points] == ["Undefined", "mosquito"]
    assert get(client, "traps/demo/t1")["day"]["most_at_once"]["mosquito"] == 9
    assert get(client, "summary")["in_the_picture"] == {"mosquito": 9}


def test_a_blind_newest_window_leaves_the_last_count_and_both_times(client: TestClient, commit: Commit):
    commit(make_window(1, females=5), make_window(2, females=None))
    trap = get(client, "traps/demo/t1")
    assert (trap["window"]["seq"], trap["window"]["counts"], trap["counted"]["seq"]) == (2, None, 1)


def test_a_newest_window_with_counts_is_not_called_blind(client: TestClient, commit: Commit):
    commit(make_window(1, females=None), make_window(2))
    assert get(client, "traps/demo/t1")["counted"]["seq"] == 2
