"""As many pairs as can be, at the least cost, and never an impossible one."""

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from trap_agent.assignment import assign

SIDES = st.integers(0, 5)


@settings(max_examples=150, deadline=None)
@given(SIDES, SIDES, st.integers(0, 10_000), st.sampled_from([0.2, 0.6, 1.0]))
def test_pairs_are_as_many_and_as_cheap_as_can_be(rows: int, columns: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    cost, is_possible = rng.uniform(0, 2, (rows, columns)), rng.random((rows, columns)) < share
    pairs = assign(cost, is_possible)
    assert pairs.shape == (len(pairs), 2)
    assert all(is_possible[row, column] for row, column in pairs)
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    best = min(_plans(cost, is_possible))
    assert (-len(pairs), round(cost[pairs[:, 0], pairs[:, 1]].sum(), 9)) == best


def _plans(cost: np.ndarray, is_possible: np.ndarray) -> list[tuple[int, float]]:
    """Of every way to pair: minus the number of pairs, and their cost."""
    if cost.shape[0] > cost.shape[1]:
        cost, is_possible = cost.T, is_possible.T
    plans = []
    for columns in permutations(range(cost.shape[1]), cost.shape[0]):
        chosen = [(row, column) for row, column in enumerate(columns) if is_possible[row, column]]
        plans.append((-len(chosen), round(sum(cost[pair] for pair in chosen), 9)))
    return plans
