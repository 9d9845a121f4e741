"""Schedules, and the levels of a head."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import ConfigError
from trap_training.terms.feature import Hint
from trap_training.terms.term import Schedule

schedules = st.builds(Schedule, warmup=st.floats(0, 20), final=st.floats(0, 1), mosaic_only=st.booleans())


def test_a_term_has_its_whole_weight_all_the_time_unless_told_otherwise():
    assert {Schedule().share(epoch, 10, 5) for epoch in range(10)} == {1.0}


def test_a_warm_up_of_three_epochs_rises_by_quarters():
    assert [Schedule(warmup=3).share(epoch, 10, 0) for epoch in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_the_weight_falls_by_a_cosine_to_its_final_share_in_the_last_epoch():
    shares = [Schedule(final=0.2).share(epoch, 11, 0) for epoch in (0, 5, 10)]
    assert shares == pytest.approx([1.0, 0.6, 0.2])


def test_without_mosaics_a_mosaic_term_is_silent():
    assert [Schedule(mosaic_only=True).share(epoch, 6, 2) for epoch in range(6)] == [1.0] * 4 + [0.0] * 2


@given(schedules, st.integers(1, 50), st.integers(0, 10))
def test_a_share_is_between_nothing_and_all(schedule: Schedule, epochs: int, close_mosaic: int):
    assert all(0 <= schedule.share(epoch, epochs, close_mosaic) <= 1 for epoch in range(epochs))


def test_levels_are_found_among_the_inputs_of_any_head():
    assert Hint().places(3) == [0, 1, 2]
    assert Hint(levels=(4, 3)).places(3) == [1, 0]
    assert Hint().places(2) == [0, 1]  # strides 16 and 32
    assert Hint().places(4) == [1, 2, 3]  # a head on stride 4 too


def test_a_head_without_any_of_the_levels_is_refused():
    with pytest.raises(ConfigError, match="hint: the head has levels 4 to 5, none of"):
        Hint(levels=(3,)).places(2)
