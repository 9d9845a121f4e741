"""Comparing: the same average precision as Ultralytics', and intervals that mean what they say."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import DataError
from trap_training.studies.comparing import RankedScores, compare
from trap_training.studies.scoring import Scores

from training.scored import PICTURES, make_scores

pytestmark = pytest.mark.usefixtures("quiet")


def repeated(scores: Scores, draws: list[int]) -> Scores:
    """The scores of a test set in which picture p lies draws[p] times."""
    times = np.array(draws)
    found, truth = times[scores.found_in], times[scores.truth_in]
    return replace(
        scores,
        hits=scores.hits.repeat(found, axis=0),
        confidences=scores.confidences.repeat(found),
        found=scores.found.repeat(found),
        truth=scores.truth.repeat(truth),
    )


@given(
    quality=st.floats(0, 1),
    seed=st.integers(0, 999),
    draws=st.lists(st.integers(0, 4), min_size=8, max_size=8),
    coarse=st.booleans(),
)
def test_precision_of_a_resample_is_ultralytics_own_of_the_repeated_pictures(
    quality: float, seed: int, draws: list[int], coarse: bool
):
    scores = make_scores(quality, seed, pictures=8)
    if coarse:  # many boxes of one right and one wrong kind, as in a net that learnt little
        scores = replace(scores, hits=scores.hits & (scores.confidences > 0.6)[:, None])
    whole = repeated(scores, draws)
    weights = np.array(draws)
    assert RankedScores.of(scores, "map50").precision(weights) == pytest.approx(whole.map50, abs=1e-9)
    assert RankedScores.of(scores, "map50_95").precision(weights) == pytest.approx(whole.map50_95, abs=1e-9)


def arm(quality: float, *seeds: int) -> list[Scores]:
    return [make_scores(quality, seed) for seed in seeds]


def test_the_better_arm_first_gives_a_positive_delta_and_an_interval_above_zero():
    found = compare(arm(0.9, 1, 2, 3), arm(0.5, 4, 5, 6), "map50_95", 200, np.random.default_rng(0))
    assert 0 < found.low < found.delta < found.high
    assert found.is_clear


def test_delta_is_the_difference_of_the_means_over_seeds():
    a, b = arm(0.8, 1, 2, 3), arm(0.7, 4, 5)
    found = compare(a, b, "map50", 10, np.random.default_rng(0))
    assert found.delta == pytest.approx(np.mean([s.map50 for s in a]) - np.mean([s.map50 for s in b]))


def test_an_arm_against_itself_has_an_interval_around_zero():
    found = compare(arm(0.8, 1, 2, 3), arm(0.8, 1, 2, 3), "map50_95", 200, np.random.default_rng(0))
    assert found.delta == 0
    assert found.low < 0 < found.high
    assert not found.is_clear


def test_one_network_against_itself_has_no_interval_because_both_see_the_same_pictures():
    found = compare(arm(0.8, 1), arm(0.8, 1), "map50_95", 50, np.random.default_rng(0))
    assert (found.low, found.delta, found.high) == (0, 0, 0)


def test_swapped_arms_give_the_opposite_delta():
    a, b = arm(0.8, 1, 2), arm(0.6, 3, 4)
    one, other = (compare(x, y, "map50", 50, np.random.default_rng(0)) for x, y in ((a, b), (b, a)))
    assert one.delta == -other.delta


def test_networks_scored_on_other_pictures_are_refused():
    other = make_scores(0.8, 1, pictures=PICTURES - 1)
    with pytest.raises(DataError, match="not scored on the same ones"):
        compare(arm(0.8, 1), [other], "map50", 10, np.random.default_rng(0))


def test_networks_scored_with_other_labels_are_refused():
    scores = make_scores(0.8, 1)
    relabelled = replace(scores, truth=(scores.truth + 1) % 3)
    with pytest.raises(DataError, match="other labels"):
        compare([scores], [relabelled], "map50", 10, np.random.default_rng(0))


def test_an_arm_without_a_network_is_refused():
    with pytest.raises(DataError, match="no network"):
        compare(arm(0.8, 1), [], "map50", 10, np.random.default_rng(0))
