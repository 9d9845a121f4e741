"""Counts corrected by labels from the field: the numbers here were worked out by hand, as the comments show."""

import pytest
import sqlalchemy as sa
from trap_server import schema
from trap_server.database import open_database
from trap_server.review.field_error import FieldError, Seen
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store

from server.clients import client_of
from server.traps import MODEL, NOON_MS, make_batch, make_window

NOW_MS = NOON_MS + 3_600_000
SAID = {
    # 98 labels each; with half an insect in each of four outcomes (three classes, and no insect) a row comes to 100
    "Female": {"Female": 89, "Male": 4, "Undefined": 1, None: 4},
    "Male": {"Female": 2, "Male": 92, "Undefined": 0, None: 4},
}
WORKED_OUT = {
    # of 200 counted as females and 100 as males:
    # 200 x 0.895 + 100 x 0.025 = 181.5
    # variance 200 x 0.895 x 0.105 x 300/101 + 100 x 0.025 x 0.975 x 200/101 = 55.8267 + 4.8267 = 60.6535, s = 7.7880
    "Female": (181.5, 166.24, 196.76),
    # 200 x 0.045 + 100 x 0.925 = 101.5
    # variance 200 x 0.045 x 0.955 x 300/101 + 100 x 0.925 x 0.075 x 200/101 = 25.5297 + 13.7376, s = 6.2664
    "Male": (101.5, 89.22, 113.78),
    # 200 x 0.015 + 100 x 0.005 = 3.5; variance 8.7772 + 0.9851, s = 3.1245: the bound below zero is cut off
    "Undefined": (3.5, 0.0, 9.62),
}


def seen() -> list[Seen]:
    return [Seen(said, was) for said, row in SAID.items() for was, count in row.items() for _ in range(count)]


def test_counts_are_corrected_as_worked_out_by_hand():
    assert FieldError.of(seen()).correct({"Female": 200, "Male": 100, "Undefined": 0}) == WORKED_OUT


def test_a_class_that_was_counted_and_has_too_few_labels_is_not_corrected():
    assert FieldError.of(seen()).correct({"Female": 200, "Undefined": 1}) is None


@pytest.fixture
def engine(sqlite_url: str) -> sa.Engine:
    """Forty windows of five females, twenty-five of four males, and the labels."""
    engine = open_database(sqlite_url)
    windows = [make_window(number, semantics="arrivals", counts=counts(number)) for number in range(1, 41)]
    Store(engine, "c").commit(sort_arrivals([Arrival("mt/v1/demo/t1/counts", make_batch(windows), False, NOON_MS)]))
    said = {"tenant": "demo", "trap": "t1", "score": 0.9, "box": [0.5, 0.5, 0.2, 0.2], "jpeg": b""}
    said |= {"labelled_by": "ana", "labelled_at_ms": NOON_MS, "model_sha256": MODEL.sha256}
    rows = [
        said | {"evidence": f"{number:032x}", "predicted": one.predicted, "label": one.label, "reason": reason}
        for number, (one, reason) in enumerate(
            [*((one, "sample") for one in seen()), *((Seen("Female", "Male"), "uncertain") for _ in range(50))]
        )
    ]
    with engine.begin() as connection:
        connection.execute(sa.insert(schema.labels), rows)
    return engine


def counts(number: int) -> dict[str, int]:
    return {"Female": 5, "Male": 4 if number <= 25 else 0, "Undefined": 0}


def curve(url: str, engine: sa.Engine) -> dict[str, object]:
    with client_of(url, engine, lambda: NOW_MS) as client:
        found: dict[str, object] = client.get(
            f"/api/v1/traps/demo/t1/curve?since={NOON_MS}&until={NOW_MS}&step=3600000"
        ).json()
        return found


def test_the_curve_is_corrected_by_the_sample_alone(sqlite_url: str, engine: sa.Engine):
    found = curve(sqlite_url, engine)
    assert found["correction"] == "field"
    assert found["corrected"] == {name: list(interval) for name, interval in WORKED_OUT.items()}


def test_counts_of_two_models_are_not_corrected_by_the_labels_of_one(sqlite_url: str, engine: sa.Engine):
    other = make_window(41, 5, 4, semantics="arrivals", model=MODEL.model_copy(update={"sha256": "cd" * 32}))
    Store(engine, "c").commit(sort_arrivals([Arrival("mt/v1/demo/t1/counts", make_batch([other]), False, NOON_MS)]))
    found = curve(sqlite_url, engine)
    assert (found["correction"], found["corrected"]) == (None, None)
