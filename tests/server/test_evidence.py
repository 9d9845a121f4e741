"""Pictures from traps: each stored once, broken ones in quarantine, and both acknowledged."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
import pytest
import sqlalchemy as sa
from brokers import Broker
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import MessageError
from trap_contract.messages import Clock, Evidence, WindowKey
from trap_contract.topics import EVIDENCE, TrapAddress
from trap_server import schema
from trap_server.evidence import jpeg_size
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Committed, Heartbeat, Store
from waiting import until

from server.clients import client_of
from server.running import RunningIngest, rows
from server.traps import BOOT, MODEL, NOON_MS, FakeTrap, make_batch, make_window

ADDRESS = TrapAddress("demo", "t1")


def jpeg(width: int = 40, height: int = 30, shade: int = 90) -> bytes:
    written, data = cv2.imencode(".jpg", np.full((height, width, 3), shade, np.uint8))
    assert written
    return data.tobytes()


def make_evidence(number: int, picture: bytes | None = None, **changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "trap": "t1",
        "id": f"{number:032x}",
        "kind": "crop",
        "reason": "uncertain",
        "wall_ms": NOON_MS + number,
        "clock": Clock(synced=True, source="ntp"),
        "model": MODEL,
        "frame_px": (1920, 1080),
        "area": (10, 20, 50, 50),
        "window": WindowKey(boot=BOOT, seq=1),
        "box": (20.0, 25.0, 40.0, 45.0),
        "scores": {"Female": 0.41, "Male": 0.2},
        "jpeg": base64.b64encode(jpeg() if picture is None else picture).decode(),
    }
    return Evidence(**values | changes)


def arrival(evidence: Evidence, **changes: Any) -> Arrival:
    values = {"topic": ADDRESS.topic(EVIDENCE), "retained": False, "received_at_ms": 1000} | changes
    return Arrival(payload=evidence.model_dump_json().encode(), **values)


@pytest.fixture
def store(engine: sa.Engine) -> Store:
    store = Store(engine, "c", evidence_bytes=3 * len(jpeg()))
    store.beat(Heartbeat(now_ms=1, connected=True))
    return store


def commit(store: Store, *offered: Evidence) -> Committed:
    return store.commit(sort_arrivals(map(arrival, offered)))


@pytest.fixture
def client(database_url: str, engine: sa.Engine) -> Iterator[TestClient]:
    with client_of(database_url, engine, lambda: NOON_MS) as client:
        yield client


def test_a_picture_sent_again_is_stored_once_and_acknowledged_again(store: Store, engine: sa.Engine):
    first, again = commit(store, make_evidence(1), make_evidence(1)), commit(store, make_evidence(1))
    assert first.pictures == {ADDRESS: (f"{1:032x}",) * 2}
    assert again.pictures == {ADDRESS: (f"{1:032x}",)}
    (row,) = rows(engine, schema.evidence)
    assert (row["jpeg"], row["label"], row["width"], row["height"]) == (jpeg(), "Female", 40, 30)
    assert "jpeg" not in json.loads(str(row["body"]))


@pytest.mark.parametrize("broken", [b"no picture at all", jpeg()[:-40], jpeg(5000, 8)])
def test_a_broken_picture_goes_to_quarantine_and_is_acknowledged(store: Store, engine: sa.Engine, broken: bytes):
    committed = commit(store, make_evidence(1, broken))
    assert committed.pictures == {ADDRESS: (f"{1:032x}",)}
    assert rows(engine, schema.evidence) == []
    (kept,) = rows(engine, schema.quarantine)
    assert str(kept["reason"]).startswith("Evidence: its ")


def test_evidence_of_another_trap_than_its_topic_says_is_refused(store: Store, engine: sa.Engine):
    committed = commit(store, make_evidence(1, trap="t2"))
    assert (committed.pictures, len(committed.refusals)) == ({}, 1)


def test_of_one_trap_the_oldest_pictures_go_first_and_another_traps_stay(store: Store, engine: sa.Engine):
    other = arrival(make_evidence(9, trap="t2"), topic="mt/v1/demo/t2/evidence")
    store.commit(sort_arrivals([other]))
    for number in range(1, 6):
        commit(store, make_evidence(number))
    kept = [(row["trap"], row["evidence"]) for row in rows(engine, schema.evidence)]
    assert kept == [("t2", f"{9:032x}"), *(("t1", f"{number:032x}") for number in (3, 4, 5))]


@given(st.binary(max_size=200), st.integers(0, len(jpeg())))
def test_whatever_the_bytes_they_are_a_jpeg_or_a_message_error(garbage: bytes, cut: int):
    for data in (garbage, jpeg()[:cut] + garbage):
        with suppress(MessageError):
            assert jpeg_size(data) == (40, 30)


def test_pages_are_newest_first_and_filters_narrow_them(store: Store, client: TestClient):
    sent = [make_evidence(number, scores={"Male": 0.5}) for number in (1, 2)]
    snapshot = make_evidence(3, kind="snapshot", reason="command", window=None, box=None, scores={})
    commit(store, *sent, snapshot)
    address = "/api/v1/traps/demo/t1/evidence"
    first = client.get(address, params={"limit": 2}).json()
    assert [one["evidence"] for one in first["evidence"]] == [f"{3:032x}", f"{2:032x}"]
    second = client.get(address, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["evidence"] for one in second["evidence"]] == [f"{1:032x}"]
    assert second["next_cursor"] is None
    asked = {
        "kind=snapshot": [3],
        "label=Male": [2, 1],
        "label=Female": [],
        f"boot={BOOT}&seq=1": [2, 1],
        f"since={NOON_MS + 2}": [3, 2],
        f"until={NOON_MS + 2}": [1],
    }
    for query, expected in asked.items():
        found = client.get(f"{address}?{query}").json()["evidence"]
        assert [int(one["evidence"], 16) for one in found] == expected, query


def test_a_picture_tells_its_window_and_gives_its_jpeg(store: Store, client: TestClient):
    commit(store, make_evidence(1))
    (before,) = client.get("/api/v1/traps/demo/t1/evidence").json()["evidence"]
    assert before["window_start_ms"] is None
    store.commit(sort_arrivals([Arrival("mt/v1/demo/t1/counts", make_batch([make_window(1)]), False, 1)]))
    (told,) = client.get("/api/v1/traps/demo/t1/evidence").json()["evidence"]
    assert told["window_start_ms"] == NOON_MS + 60_000
    assert (told["scores"], told["threshold"]) == ({"Female": 0.41, "Male": 0.2}, MODEL.threshold)
    assert (told["box"], told["area"], told["frame_px"]) == ([20, 25, 40, 45], [10, 20, 50, 50], [1920, 1080])
    picture = client.get(told["jpeg"])
    assert (picture.headers["content-type"], picture.content) == ("image/jpeg", jpeg())
    assert "immutable" in picture.headers["cache-control"]
    assert client.get("/api/v1/evidence/999.jpg").status_code == 404


def test_through_a_broker_it_is_acknowledged_when_it_is_stored(
    broker: Broker, collecting: RunningIngest, engine: sa.Engine
):
    with FakeTrap(broker.port) as trap:
        trap.send_raw(make_evidence(1).model_dump_json(), EVIDENCE)
        until(lambda: trap.evidence == [f"{1:032x}"], "it is acknowledged")
    assert len(rows(engine, schema.evidence)) == 1
