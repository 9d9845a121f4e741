"""Waiting before the next attempt."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.backoff import Backoff, doubled


@given(st.lists(st.floats(0, 100), max_size=40), st.integers())
def test_every_wait_is_within_its_bound_and_a_steady_connection_starts_anew(lived: list[float], seed: int):
    backoff, failures = Backoff(base_s=0.5, cap_s=15, rng=random.Random(seed)), 0
    for lived_s in lived:
        failures = 0 if lived_s >= 60 else failures
        assert 0 <= backoff.wait_s(lived_s) <= min(15, 0.5 * 2**failures)
        failures += 1


def test_two_traps_do_not_knock_in_step():
    first, second = (Backoff(base_s=1, cap_s=60, rng=random.Random(seed)) for seed in (1, 2))
    assert [first.wait_s() for _ in range(5)] != [second.wait_s() for _ in range(5)]


def test_waits_are_drawn_from_zero_to_the_doubled_bound():
    rng, draws = np.random.default_rng(1), []
    for _ in range(1000):
        backoff = Backoff(base_s=1, cap_s=120, rng=rng)
        draws.append([backoff.wait_s() for _ in range(4)][-1])
    assert 0 <= min(draws) < 0.5
    assert 7.5 < max(draws) <= 8.0


def test_a_reset_makes_the_next_wait_a_first_one():
    backoff = Backoff(base_s=1, cap_s=120, rng=random.Random(1))
    for _ in range(100):
        for _ in range(6):
            backoff.wait_s()
        backoff.reset()
        assert backoff.wait_s() <= 1


def test_a_bound_doubles_up_to_its_cap_and_never_overflows():
    assert [doubled(attempt, 20, 300) for attempt in (0, 1, 2, 4, 10**9)] == [20, 40, 80, 300, 300]
