"""The pure core of ingest: where each message ends."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.messages import CountBatch
from trap_server.sorting import Arrival, Batch, sort_arrivals

from server.traps import BOOT, make_batch, make_birth, make_state, make_window

TOPIC = "mt/v1/demo/t1/counts"


def sort_one(payload: bytes, topic: str = TOPIC, *, retained: bool = False) -> Batch:
    return sort_arrivals([Arrival(topic, payload, retained, 1000)])


def changed(**fields: object) -> bytes:
    return json.dumps(json.loads(make_batch([make_window(1)])) | fields).encode()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xfe", "Invalid JSON"),
        (b"", "Invalid JSON"),
        (b"{}", "trap"),
        (b"[" * 100_000, "Invalid JSON"),
        (changed(trap="t2"), "of trap 't2'"),
        (changed(v=2), "at v"),
        (changed(windows=[]), "at windows"),
        (changed(windows=[{"seq": float("nan")}]), "windows.0"),
        (b'{"trap": "\\ud800"}', "Invalid JSON"),
    ],
)
def test_a_malformed_payload_is_refused_with_its_place(payload: bytes, reason: str):
    batch = sort_one(payload)
    assert batch.windows == []
    assert reason in batch.refusals[0].reason


@pytest.mark.parametrize("topic", ["mt/v1/demo/T1/counts", "mt/v1/demo/t1", "mt/v1/demo/t1/ack", "x" * 9000])
def test_a_foreign_topic_is_refused(topic: str):
    batch = sort_one(make_batch([make_window(1)]), topic)
    assert (batch.windows, len(batch.refusals)) == ([], 1)


def test_retained_counts_are_refused_and_name_their_trap():
    batch = sort_one(make_batch([make_window(1)]), retained=True)
    assert "retain" in batch.refusals[0].reason
    assert batch.refusals[0].address is not None
    assert batch.refusals[0].address.trap == "t1"


def test_a_good_message_after_a_bad_one_keeps_its_place():
    arrivals = [
        Arrival(TOPIC, make_batch([make_window(1), make_window(2)]), False, 1),
        Arrival(TOPIC, b"poison", False, 2),
        Arrival(TOPIC, make_batch([make_window(3)]), False, 3),
    ]
    batch = sort_arrivals(arrivals)
    assert [one.key for one in batch.windows] == [("demo", "t1", BOOT, seq) for seq in (1, 2, 3)]
    assert [one.arrival.received_at_ms for one in batch.refusals] == [2]


def test_a_retained_state_and_a_last_will_are_no_signs_of_life():
    topic = "mt/v1/demo/t1/state"
    online, offline = (make_state(word).model_dump_json().encode() for word in ("online", "offline"))
    assert sort_one(online, topic).sightings[0].seen_at_ms == 1000
    assert sort_one(online, topic, retained=True).sightings[0].seen_at_ms is None
    assert sort_one(offline, topic).sightings[0].seen_at_ms is None


def test_a_birth_tells_how_long_a_window_is():
    sighting = sort_one(make_birth().model_dump_json().encode(), "mt/v1/demo/t1/birth").sightings[0]
    assert sighting.window_ms == 60_000
    assert sighting.birth == make_birth()


payloads = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda seqs: make_batch([make_window(seq) for seq in seqs]), st.lists(st.integers(1, 99), min_size=1)),
    st.builds(
        lambda cut, extra: make_batch([make_window(1)])[:cut] + extra, st.integers(0, 900), st.binary(max_size=9)
    ),
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    ).map(lambda value: json.dumps(value).encode()),
)
topics = st.sampled_from([TOPIC, "mt/v1/demo/t1/birth", "mt/v1/demo/t1/state", "mt/v1/demo/t2/counts"]) | st.text()


@given(st.lists(st.builds(Arrival, topics, payloads, st.booleans(), st.integers(0, 2**40)), max_size=8))
def test_every_message_ends_in_exactly_one_place(arrivals: list[Arrival]):
    batch = sort_arrivals(arrivals)
    assert len(batch.sightings) + len(batch.refusals) == len(arrivals)
    accepted = [one for one in arrivals if one not in [refusal.arrival for refusal in batch.refusals]]
    counts = [one for one in accepted if one.topic.endswith("/counts")]
    windows = [window for one in counts for window in CountBatch.model_validate_json(one.payload).windows]
    assert [one.window for one in batch.windows] == windows
