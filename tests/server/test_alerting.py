"""Rules, their limits and the life of an alert."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_server.alerting.engine import Alert, Key, changes
from trap_server.alerting.rules import Facts, Finding, Level, Limit, Limits, judge
from trap_server.alerting.statistics import population_stability, robust_z

LIMITS = Limits(count=Limit(50, 40))
LEVELS: list[Level] = ["bad", "between", "fine", "unknown"]


def levels(**facts: Any) -> dict[str, str]:
    found = judge(Facts(**({"tenant": "demo", "trap": "t1", "status": "online"} | facts)), LIMITS)
    return {one.kind: one.level for one in found}


@pytest.mark.parametrize(
    ("kind", "bad", "between", "fine"),
    [
        ("coverage", {"coverage": 0.5}, {"coverage": 0.6}, {"coverage": 0.7}),
        ("temperature", {"soc_celsius": 80}, {"soc_celsius": 78}, {"soc_celsius": 75}),
        ("disk", {"disk_free_mb": 100}, {"disk_free_mb": 300}, {"disk_free_mb": 400}),
        ("count", {"count": 50}, {"count": 45}, {"count": 0}),
        ("sharpness", {"sharpness": [4, 5, 6], "sharpness_before": [10] * 20},
         {"sharpness": [6], "sharpness_before": [10] * 20}, {"sharpness": [11], "sharpness_before": [10] * 20}),
        ("season", {"nights": [10] * 14 + [30]}, {"nights": [10] * 14 + [20]}, {"nights": [10] * 14 + [0]}),
    ],
)  # fmt: skip
def test_a_limit_raises_and_clears_at_different_values(
    kind: str, bad: dict[str, Any], between: dict[str, Any], fine: dict[str, Any]
):
    assert [levels(**facts)[kind] for facts in (bad, between, fine)] == ["bad", "between", "fine"]
    assert levels()[kind] == "unknown"


def test_a_trap_that_is_silent_or_offline_is_bad_and_one_that_stopped_by_itself_is_not():
    statuses = ("silent", "offline", "online", "stopped", "unknown")
    assert [levels(status=status)["silent"] for status in statuses] == ["bad", "bad", "fine", "fine", "unknown"]


def test_a_disk_that_takes_nothing_is_bad_however_much_is_free():
    assert levels(disk_free_mb=9000, outbox_on_disk=False)["disk"] == "bad"
    assert levels(disk_free_mb=9000, outbox_on_disk=True)["disk"] == "fine"


def test_a_clock_is_bad_only_when_it_is_known_to_be():
    assert [levels(clock_synced=synced)["clock"] for synced in (False, True, None)] == ["bad", "fine", "unknown"]


def test_too_few_nights_pictures_or_scores_raise_nothing():
    assert levels(nights=[10] * 13 + [999])["season"] == "unknown"
    assert levels(sharpness=[1], sharpness_before=[10] * 19)["sharpness"] == "unknown"
    assert levels(scores=[0.1] * 99, scores_before=[0.9] * 500)["drift"] == "unknown"


def test_scores_that_move_are_drift_and_scores_that_stay_are_not():
    before = [0.5 + 0.4 * math.sin(i) for i in range(1000)]
    assert levels(scores_before=before, scores=before[500:])["drift"] == "fine"
    assert levels(scores_before=before, scores=[one / 2 for one in before])["drift"] == "bad"


@given(st.lists(st.integers(0, 10_000), min_size=14), st.integers(0, 10_000), st.integers(1, 1000))
def test_a_larger_catch_is_never_less_unusual(history: list[int], value: int, more: int):
    lower, higher = robust_z(value, history), robust_z(value + more, history)
    assert lower is not None
    assert higher is not None
    assert lower < higher


def test_a_season_of_zeros_makes_one_mosquito_no_alarm():
    z = robust_z(1, [0] * 30)
    assert z is not None
    assert z < 3.5


SCORES = st.lists(st.floats(0, 1), min_size=100, max_size=200)


@given(SCORES, SCORES)
def test_the_stability_index_is_never_negative_and_zero_for_equal_samples(before: list[float], now: list[float]):
    assert (population_stability(before, now) or 0) >= 0
    assert population_stability(before, before) == 0


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_limit_knows_no_value_that_is_bad_and_fine(raise_at: float, clear_at: float, value: float):
    assert Limit(raise_at, clear_at).level(raise_at) == "bad"
    assert Limit(raise_at, clear_at).level(value) in LEVELS[:3]


@given(st.lists(st.tuples(st.sampled_from(LEVELS), st.booleans()), max_size=60))
def test_an_alert_opens_once_and_closes_once_whatever_is_found(history: list[tuple[Level, bool]]):
    live: dict[Key, Alert] = {}
    told: list[str] = []
    for now_ms, (level, seen) in enumerate(history):
        finding = Finding("demo", "t1", "disk", level, 1.0, "full")
        for alert in changes(live, [finding, finding], now_ms):
            told.append(alert.state)
            live = {} if alert.state == "closed" else {alert.key: alert}
        if seen:
            live = {key: alert.acknowledged("ana", now_ms) for key, alert in live.items()}
    assert told == ["open", "closed"] * (len(told) // 2) + ["open"] * (len(told) % 2)
    runs = [level for level, _ in history if level in ("bad", "fine")]
    expected = [one for i, one in enumerate(runs) if one != (runs[i - 1] if i else "fine")]
    assert len(told) == len(expected)


def test_an_acknowledged_alert_keeps_who_and_when_and_still_closes():
    opened = changes({}, [Finding("demo", "t1", "disk", "bad", 10.0, "full")], 5)[0]
    seen = opened.acknowledged("ana", 7).acknowledged("ben", 9)
    assert (seen.state, seen.acknowledged_by, seen.acknowledged_ms) == ("acknowledged", "ana", 7)
    (closed,) = changes({seen.key: seen}, [Finding("demo", "t1", "disk", "fine", 900.0, "")], 11)
    assert closed == replace(seen, state="closed", closed_ms=11)
