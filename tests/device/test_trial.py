"""The trial of a bundle as a state machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_agent.trial import (
    GOOD_WINDOWS,
    MOST_STARTS,
    SLOWER,
    Slots,
    emptied,
    installed,
    observed,
    other,
    rolled_back,
    started,
)
from trap_contract.messages import Effort, Latency

SEEN = Effort(observed_s=60, frames_seen=10, frames_analysed=10)
UNSEEN = Effort(observed_s=0, frames_seen=0, frames_analysed=0)


def window(slots: Slots, ms: float = 10.0) -> Slots:
    return observed(slots, SEEN, Latency(p50=ms, p95=ms))


def tried(ms: float = 10.0, name: str = "old") -> Slots:
    """One bundle that passed its trial."""
    slots = started(installed(Slots(), name))
    for _ in range(GOOD_WINDOWS):
        slots = window(slots, ms)
    return slots


def test_ten_good_windows_end_a_trial_and_leave_the_latency_to_compare_with():
    slots = tried(12.0)
    assert slots.trial is None
    assert slots.active == "a"
    assert slots.latency_ms == {"a": 12.0}
    assert slots.outcome == "old passed its trial"


def test_a_bundle_that_takes_much_longer_is_rolled_back_at_its_first_window():
    slots = window(started(installed(tried(10.0), "new")), 10.0 * SLOWER + 1)
    assert (slots.active, slots.bundles, slots.trial) == ("a", {"a": "old"}, None)
    assert "new was rolled back: a frame took 51 ms, with the bundle before 10 ms" in slots.outcome


def test_a_bundle_that_is_somewhat_slower_passes():
    slots = installed(tried(10.0), "new")
    for _ in range(GOOD_WINDOWS):
        slots = window(slots, 20.0)
    assert (slots.active, slots.trial) == ("b", None)
    assert slots.bundles == {"a": "old", "b": "new"}


def test_a_bundle_that_never_survives_is_rolled_back_after_a_few_starts():
    slots = installed(tried(), "new")
    for _ in range(MOST_STARTS):
        slots = started(slots)
        assert slots.active == "b"
    slots = started(slots)
    assert slots.active == "a"
    assert "4 starts did not lead to 10 good windows" in slots.outcome


def test_a_window_without_a_frame_says_nothing_about_the_bundle():
    slots = installed(tried(), "new")
    assert observed(slots, UNSEEN, None) == slots


def test_a_bundle_without_one_before_it_goes_on_whatever_happens():
    slots = installed(Slots(), "only")
    for _ in range(MOST_STARTS + 1):
        slots = started(slots)
    assert (slots.active, slots.bundles, slots.trial) == ("a", {"a": "only"}, None)
    assert "nothing is there before" in slots.outcome


STEPS = st.lists(st.one_of(st.sampled_from(["start", "install", "blind", "back"]), st.floats(0.1, 1000)), max_size=60)


def take(slots: Slots, step: str | float) -> Slots:
    if isinstance(step, float):
        return window(slots, step)
    if step == "install":  # as the folder does it: never during a trial
        return slots if slots.trial else installed(emptied(slots, other(slots.active)), "x")
    if step == "back":
        return rolled_back(slots, "by hand") if slots.active and other(slots.active) in slots.bundles else slots
    return started(slots) if step == "start" else observed(slots, UNSEEN, None)


@given(STEPS)
def test_whatever_happens_what_is_active_is_there_and_a_trial_ends(steps):
    slots, starts = Slots(), 0
    for step in steps:
        before, slots = slots, take(slots, step)
        assert (slots.active is None) == (slots.bundles == {})
        assert slots.active is None or slots.active in slots.bundles
        assert set(slots.latency_ms) <= set(slots.bundles)
        assert not (before.active and slots.active is None)
        if slots.trial is not None:
            assert slots.trial.starts <= MOST_STARTS
            assert len(slots.trial.latencies_ms) < GOOD_WINDOWS
        starts = starts + 1 if step == "start" and slots.trial else 0
        assert Slots.model_validate_json(slots.model_dump_json()) == slots


@given(st.lists(st.floats(0.1, 1000), max_size=GOOD_WINDOWS - 1), st.integers(0, MOST_STARTS))
def test_after_a_roll_back_everything_of_the_bundle_before_is_as_it_was(latencies, starts):
    before = tried()
    slots = installed(before, "new")
    for ms in latencies:
        slots = window(slots, min(ms, 10.0 * SLOWER))
    for _ in range(starts):
        slots = started(slots)
    back = rolled_back(slots, "why")
    assert back.model_copy(update={"outcome": before.outcome}) == before


@pytest.mark.parametrize(("slot", "expected"), [(None, "a"), ("a", "b"), ("b", "a")])
def test_the_other_slot(slot, expected):
    assert other(slot) == expected
