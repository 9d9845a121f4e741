"""Terms over similarities: worked example, and what they are blind to."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trap_training.taps import Taps
from trap_training.terms.relation import BatchRelation, PositionRelation, relation_loss, similarities

from training.terms.pairs import pair, positives

TEACHER = torch.tensor([[0.9, 0.2], [0.6, 0.7]])
STUDENT = torch.tensor([[0.8, 0.3], [0.5, 0.6]])


def test_the_worked_example_relates_0_80_to_0_87():
    # (0.9, 0.2).(0.6, 0.7) = 0.68 over 0.85, exactly 0.8; (0.8, 0.3).(0.5, 0.6) = 0.58 over 0.6673.
    assert similarities(TEACHER)[0, 1].item() == pytest.approx(0.8, abs=1e-6)
    assert similarities(STUDENT)[0, 1].item() == pytest.approx(0.86916, abs=1e-5)


def test_the_worked_example_costs_half_of_the_squared_difference():
    # Each of the two is like itself in any case: of four entries two differ, by 0.06916.
    assert relation_loss(STUDENT, TEACHER).item() == pytest.approx(0.06916**2 / 2, rel=1e-3)


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_only_directions_count(first: float, second: float):
    stretched = STUDENT * torch.tensor([[first], [second]])
    torch.testing.assert_close(relation_loss(stretched, TEACHER), relation_loss(STUDENT, TEACHER))


@given(st.floats(-3.2, 3.2))
def test_turning_all_vectors_alike_costs_nothing(angle: float):
    turn = torch.tensor(angle)
    rotation = torch.stack([torch.stack([turn.cos(), -turn.sin()]), torch.stack([turn.sin(), turn.cos()])])
    assert relation_loss(TEACHER @ rotation, TEACHER).item() == pytest.approx(0, abs=1e-9)


def test_pictures_are_related_by_their_pooled_maps():
    def taps(vectors: torch.Tensor) -> Taps:
        # Two positions whose mean is the vector, so that only pooling finds it.
        spread = torch.tensor([-0.3, 0.3]).reshape(1, 1, 1, 2)
        return Taps(torch.zeros(2, 5, 2), torch.zeros(2, 4, 16, 2), (vectors[:, :, None, None] + spread,))

    loss = BatchRelation(levels=(5,)).loss(taps(STUDENT), taps(TEACHER), positives(), torch.nn.ModuleList())
    torch.testing.assert_close(loss, relation_loss(STUDENT, TEACHER))


def test_positions_are_related_within_a_picture():
    def taps(vectors: torch.Tensor) -> Taps:
        return Taps(torch.zeros(1, 5, 2), torch.zeros(1, 4, 16, 2), (vectors.T.reshape(1, 2, 1, 2),))

    loss = PositionRelation().loss(taps(STUDENT), taps(TEACHER), positives(), torch.nn.ModuleList())
    torch.testing.assert_close(loss, relation_loss(STUDENT, TEACHER))


def test_a_picture_alone_in_its_batch_teaches_no_relation():
    student, teacher = pair().student, pair().teacher
    first = [
        Taps(taps.cls_logits[:1], taps.box_logits[:1], tuple(tap[:1] for tap in taps.maps))
        for taps in (student, teacher)
    ]
    assert BatchRelation().loss(*first, positives(), torch.nn.ModuleList()).item() == pytest.approx(0, abs=1e-9)


def test_positions_are_related_on_the_coarsest_level_by_default():
    both = pair()
    both.loss(PositionRelation()).backward()
    assert [tap.grad is not None for tap in both.student.maps] == [False, False, True]
