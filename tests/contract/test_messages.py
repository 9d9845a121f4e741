"""Messages: valid ones survive the wire, everything else is one MessageError."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from trap_contract.errors import MessageError
from trap_contract.messages import (
    MAX_SEQ,
    MAX_WINDOWS,
    Ack,
    AckRange,
    Birth,
    CountBatch,
    State,
    Window,
    parse_message,
    ranges_of,
)

from contract.windows import boots, seqs, windows

KINDS = (CountBatch, Ack, State, Birth)
BOOT = "a" * 32
PLAIN: dict[str, Any] = {
    "boot": BOOT,
    "seq": 7,
    "kernel_boot": "k",
    "wall_ms": 1_790_000_000_000,
    "mono_ms": 60_000,
    "duration_ms": 60_000,
    "clock": {"synced": True, "source": "ntp"},
    "semantics": "occupancy",
    "counts": {"Female": 3, "Male": 0},
    "occupancy": {"Female": {"mean": 2.5, "max": 4}},
    "confidence": {"Female": 0.8},
    "effort": {
        "observed_s": 59.0,
        "frames_seen": 600,
        "frames_analysed": 590,
        "frames_dropped": 10,
        "gaps": [{"reason": "overload", "seconds": 1.0}],
    },
    "model": {"id": "m", "sha256": "0" * 64, "threshold": 0.3, "backend": "tflite"},
    "latency_ms": {"p50": 11.0, "p95": 19.0},
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def window(**changes: Any) -> Window:
    return Window.model_validate(PLAIN | changes)


def batch(*found: Window) -> CountBatch:
    return CountBatch(trap="trap-1", sent_wall_ms=1, windows=found)


@given(st.lists(windows(), min_size=1, max_size=3))
def test_a_batch_survives_the_wire(found: list[Window]) -> None:
    sent = batch(*found)
    received = parse_message(CountBatch, sent.model_dump_json().encode())
    assert received == sent
    assert [one.digest() for one in received.windows] == [one.digest() for one in found]


@pytest.mark.parametrize("kind", KINDS)
@given(payload=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_are_a_message_or_a_message_error(kind: type[BaseModel], payload: bytes) -> None:
    try:
        parse_message(kind, payload)
    except MessageError as error:
        assert kind.__name__ in str(error)  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\xfe", b"null", b"[" * 100_000, b'{"v":' + b"9" * 5000 + b"}", b'"\\ud800"', b'{"v":1} trailing'],
    ids=["empty", "not UTF-8", "null", "deep", "huge number", "half a surrogate", "trailing"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_bytes_are_refused(kind: type[BaseModel], payload: bytes) -> None:
    with pytest.raises(MessageError, match=f"{kind.__name__} is malformed at"):
        parse_message(kind, payload)


def test_the_error_names_the_place_that_is_wrong() -> None:
    content = json.loads(batch(window()).model_dump_json())
    content["windows"][0]["effort"]["gaps"][0]["reason"] = "sleepy"
    with pytest.raises(MessageError, match=r"windows\.0\.effort\.gaps\.0\.reason"):
        parse_message(CountBatch, json.dumps(content).encode())


def test_the_error_does_not_repeat_the_payload() -> None:
    with pytest.raises(MessageError) as caught:
        parse_message(State, json.dumps({"trap": "S" * 5000}).encode())
    assert len(str(caught.value)) < 200


def test_fields_of_a_newer_peer_are_ignored_at_every_depth() -> None:
    content = json.loads(batch(window()).model_dump_json())
    for place in list(_objects(content)):
        place["from_the_future"] = {"deep": [1, 2]}
    for mapping in ("counts", "occupancy", "corrected", "confidence"):  # their keys are classes, not fields
        del content["windows"][0][mapping]["from_the_future"]
    assert parse_message(CountBatch, json.dumps(content).encode()) == batch(window())


def test_another_version_is_refused() -> None:
    content = json.loads(batch(window()).model_dump_json()) | {"v": 2}
    with pytest.raises(MessageError, match="CountBatch is malformed at v:"):
        parse_message(CountBatch, json.dumps(content).encode())


def test_counts_without_an_analysed_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="counts must be null exactly when"):
        window(effort={"observed_s": 0, "frames_seen": 5, "frames_analysed": 0})


def test_an_analysed_frame_without_counts_is_refused() -> None:
    with pytest.raises(ValueError, match="counts must be null exactly when"):
        window(counts=None)


def test_no_frame_is_not_zero_insects() -> None:
    blind = window(counts=None, effort={"observed_s": 0, "frames_seen": 0, "frames_analysed": 0})
    assert blind.counts is None
    assert '"counts":null' in blind.model_dump_json()


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 0},
        {"seq": MAX_SEQ + 1},
        {"boot": "A" * 32},
        {"boot": "a" * 32 + "\n"},
        {"duration_ms": 0},
        {"counts": {"Female": -1}},
        {"counts": {"": 1}},
        {"confidence": {"Female": 1.01}},
        {"confidence": {"Female": float("nan")}},
        {"latency_ms": {"p50": float("inf"), "p95": 1}},
        {"semantics": "guess"},
    ],
    ids=str,
)
def test_a_value_out_of_its_range_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        window(**change)


@pytest.mark.parametrize(
    ("count", "is_allowed"), [(0, False), (1, True), (MAX_WINDOWS, True), (MAX_WINDOWS + 1, False)]
)
def test_a_batch_holds_1_to_60_windows(count: int, is_allowed: bool) -> None:
    payload = {"trap": "trap-1", "sent_wall_ms": 1, "windows": [PLAIN] * count}
    if is_allowed:
        assert len(CountBatch.model_validate(payload).windows) == count
    else:
        with pytest.raises(ValueError, match="windows"):
            CountBatch.model_validate(payload)


def test_the_digest_changes_with_any_value() -> None:
    digests = {Window.model_validate(changed).digest() for changed in _one_change_each()}
    leaves = sum(1 for _ in _leaves(PLAIN))
    assert len(digests) == leaves
    assert window().digest() not in digests


@given(windows(), st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order_of_keys(one: Window, random: Any) -> None:
    shuffled = _shuffled(json.loads(one.model_dump_json()), random)
    assert Window.model_validate(shuffled).digest() == one.digest()


def test_what_a_corrected_count_or_a_changed_board_says_is_part_of_the_digest() -> None:
    corrected = {"Female": {"estimate": 1.5, "low": 0, "high": 4}}
    assert len({window(**said).digest() for said in ({}, {"corrected": corrected}, {"board": "emptied"})}) == 3


def test_the_digest_is_the_same_in_every_release() -> None:
    assert window().digest() == "ab4a62121bbe70409cda113e2c8af6ad7a916a97903c1a2f04a6ce80d001bb03"


@given(st.lists(st.tuples(st.sampled_from(["a" * 32, "b" * 32]), st.integers(1, 30)), max_size=40))
def test_ranges_cover_exactly_the_keys_with_no_range_to_spare(keys: list[tuple[str, int]]) -> None:
    ranges = ranges_of(keys)
    covered = [(one.boot, seq) for one in ranges for seq in range(one.first, one.last + 1)]
    assert covered == sorted(set(keys))
    gaps = {key for key in covered if (key[0], key[1] - 1) not in covered}
    assert len(ranges) == len(gaps)


@given(boots, seqs, seqs)
def test_a_range_runs_upwards(boot: str, first: int, last: int) -> None:
    if first <= last:
        assert AckRange(boot=boot, first=first, last=last).last == last
    else:
        with pytest.raises(ValueError, match="last must not be below first"):
            AckRange(boot=boot, first=first, last=last)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(inner)


def _leaves(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Paths to every value that holds no other."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if pairs is None:
        yield path
        return
    for key, inner in pairs:
        yield from _leaves(inner, *path, key)


def _one_change_each() -> Iterator[dict[str, Any]]:
    """Copies of the plain window, each with one other value that is still valid."""
    other = {
        "ntp": "gnss",
        "occupancy": "arrivals",
        "overload": "start",
        True: False,
        BOOT: "b" * 32,
        "0" * 64: "1" * 64,
    }
    for path in _leaves(PLAIN):
        changed = json.loads(json.dumps(PLAIN))
        place = changed
        for key in path[:-1]:
            place = place[key]
        old = place[path[-1]]
        if isinstance(old, int | float) and not isinstance(old, bool):
            place[path[-1]] = old / 2 if isinstance(old, float) else old + 1
        else:
            place[path[-1]] = other.get(old, f"{old}x")
        yield changed


def _shuffled(value: Any, random: Any) -> Any:
    if isinstance(value, list):
        return [_shuffled(inner, random) for inner in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    random.shuffle(keys)
    return {key: _shuffled(value[key], random) for key in keys}
