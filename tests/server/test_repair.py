"""However the clock was stepped, the repaired time is within the stated error."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from trap_server.repair import DRIFT_PPM, TRUSTED_ERROR_MS, KernelBoot, Reading

BOOTED_MS = 1_790_000_000_000
MINUTE = 60_000


@dataclass(frozen=True)
class Truth:
    """A reading, and when its window really began."""

    reading: Reading
    true_ms: int


@st.composite
def schedules(draw: st.DrawFn) -> list[Truth]:
    """Windows of one kernel boot whose wall clock is stepped at will; a synced one is within the trusted error."""
    drift = draw(st.integers(-DRIFT_PPM, DRIFT_PPM)) / 1_000_000
    truths, elapsed_ms = [], 0
    for _ in range(draw(st.integers(1, 12))):
        elapsed_ms += draw(st.integers(MINUTE, 9_000 * MINUTE))
        synced = draw(st.booleans())
        off_ms = draw(st.integers(-TRUSTED_ERROR_MS, TRUSTED_ERROR_MS) if synced else st.integers(-(10**10), 10**10))
        true_ms = BOOTED_MS + elapsed_ms
        received_ms = true_ms + MINUTE + draw(st.integers(0, 10**9))
        mono_ms = round(elapsed_ms * (1 + drift))
        truths.append(Truth(Reading(mono_ms, true_ms + off_ms, MINUTE, synced, received_ms, True), true_ms))
    return draw(st.permutations(truths))


@given(schedules())
def test_with_one_synced_pair_in_the_boot_the_time_is_within_the_stated_error(truths: list[Truth]):
    boot = KernelBoot().after(truth.reading for truth in truths)
    has_anchor = any(truth.reading.synced for truth in truths)
    for truth in truths:
        start = boot.start(truth.reading.mono_ms, truth.reading.wall_ms, synced=truth.reading.synced)
        assert (start.method == "bounded") == (not has_anchor)
        if has_anchor:
            assert start.error_ms is not None
            assert abs(start.start_ms - truth.true_ms) <= start.error_ms


@given(schedules(), st.integers(0, 12))
def test_what_is_known_of_a_boot_does_not_depend_on_how_its_windows_were_batched(truths: list[Truth], cut: int):
    readings = [truth.reading for truth in truths]
    in_two = KernelBoot().after(readings[:cut]).after(readings[cut:])
    assert in_two == KernelBoot().after(reversed(readings))


behind = st.integers(0, 10**9)


@given(st.lists(st.tuples(st.integers(1, 500), behind, behind), min_size=1, max_size=6), st.booleans())
def test_a_clock_that_was_never_set_is_bounded_by_itself_and_by_the_receipt(
    windows: list[tuple[int, int, int]], backlog: bool
):
    lag_ms = min(lag for _, lag, _ in windows)
    readings = [
        Reading(
            at * MINUTE, BOOTED_MS + at * MINUTE - lag_ms, MINUTE, False, BOOTED_MS + (at + 1) * MINUTE + late, backlog
        )
        for at, _, late in windows
    ]
    boot = KernelBoot().after(readings)
    for one in readings:
        start = boot.start(one.mono_ms, one.wall_ms, synced=False)
        assert abs(start.start_ms - (BOOTED_MS + one.mono_ms)) <= (start.error_ms or 0)


def test_a_live_window_with_a_wrong_clock_began_just_before_its_receipt():
    reading = Reading(5 * MINUTE, 0, MINUTE, False, BOOTED_MS + 6 * MINUTE, backlog=False)
    start = KernelBoot().after([reading]).start(reading.mono_ms, reading.wall_ms, synced=False)
    assert (start.start_ms, start.method) == (BOOTED_MS + 5 * MINUTE, "bounded")


def test_a_clock_ahead_of_the_receipt_bounds_nothing():
    reading = Reading(5 * MINUTE, BOOTED_MS + 10**9, MINUTE, False, BOOTED_MS + 6 * MINUTE)
    start = KernelBoot().after([reading]).start(reading.mono_ms, reading.wall_ms, synced=False)
    assert (start.start_ms, start.error_ms) == (BOOTED_MS + 5 * MINUTE, None)
