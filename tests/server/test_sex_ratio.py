"""The interval of the sex ratio against published numbers and its own laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_server.sex_ratio import sex_ratio, wilson


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_intervals(hits: int, of: int, low: float, high: float):
    """Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3."""
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_interval_holds_the_share_and_mirrors_with_the_sexes(females: int, males: int):
    found, mirrored = sex_ratio(females, males), sex_ratio(males, females)
    if females + males == 0:
        assert (found.share, found.low, found.high) == (None, None, None)
        return
    assert 0 <= found.low <= found.share + 1e-12
    assert found.share <= found.high + 1e-12 <= 1 + 1e-9
    assert found.low == pytest.approx(1 - mirrored.high)
