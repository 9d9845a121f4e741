"""Waiting before the next attempt."""

import random

from hypothesis import given
from hypothesis import strategies as st
from trap_server.backoff import Backoff


@given(st.lists(st.floats(0, 100), max_size=40), st.integers())
def test_every_wait_is_within_its_bound_and_a_steady_connection_starts_anew(lived: list[float], seed: int):
    backoff, failures = Backoff(base_s=0.5, cap_s=15, rng=random.Random(seed)), 0
    for lived_s in lived:
        failures = 0 if lived_s >= 60 else failures
        assert 0 <= backoff.wait_s(lived_s) <= min(15, 0.5 * 2**failures)
        failures += 1


def test_two_collectors_do_not_knock_in_step():
    first, second = (Backoff(base_s=1, cap_s=60, rng=random.Random(seed)) for seed in (1, 2))
    assert [first.wait_s(0) for _ in range(5)] != [second.wait_s(0) for _ in range(5)]
