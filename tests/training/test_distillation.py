"""The response loss: nothing to learn is zero, and the student alone learns, most where it is most wrong."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from trap_training.distillation import response_loss


def logits(*values: float) -> Tensor:
    """One picture, one class, an anchor for each value."""
    return torch.tensor(values).reshape(1, 1, -1)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def entropy(q: float, p: float) -> float:
    """Cross-entropy of a coin p under the truth q."""
    return -(q * math.log(p) + (1 - q) * math.log(1 - p))


@given(st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=12))
def test_agreement_is_zero_and_teaches_nothing(values: list[float]) -> None:
    student = logits(*values).requires_grad_()
    loss = response_loss(student, logits(*values))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert student.grad is not None
    assert student.grad.abs().max().item() == pytest.approx(0, abs=1e-6)


@given(st.integers(0, 10_000))
def test_disagreement_is_never_negative(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(2, 5, 7, generator=generator) * 3 for _ in range(2))
    assert response_loss(student, teacher).item() >= -1e-6


def test_a_worked_example() -> None:
    # Two anchors of two classes. Teacher: (0.8, 0.1) and (0.3, 0.5); student: (0.5, 0.1) and (0.3, 0.9).
    teacher = torch.tensor([[[logit(0.8), logit(0.3)], [logit(0.1), logit(0.5)]]])
    student = torch.tensor([[[logit(0.5), logit(0.3)], [logit(0.1), logit(0.9)]]])
    first = (entropy(0.8, 0.5) - entropy(0.8, 0.8)) * 0.3
    second = (entropy(0.5, 0.9) - entropy(0.5, 0.5)) * 0.4
    expected = (first + second) / (0.8 + 0.5)  # the best scores of the two anchors
    assert response_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_a_teacher_that_sees_nothing_does_not_blow_the_loss_up() -> None:
    loss = response_loss(logits(0.0), logits(-20.0))
    assert loss.item() == pytest.approx(math.log(2) * 0.5, rel=1e-4)  # divided by 1, not by the teacher's 2e-9


def test_the_teacher_learns_nothing() -> None:
    teacher, student = logits(1.0, -2.0).requires_grad_(), logits(0.0, 0.0).requires_grad_()
    response_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert (student.grad != 0).all()


def test_a_step_down_the_gradient_brings_the_student_nearer() -> None:
    teacher, student = logits(2.0, -1.0, 0.5), logits(0.0, 0.0, 0.0).requires_grad_()
    response_loss(student, teacher).backward()
    assert student.grad is not None
    assert torch.equal(student.grad.sign(), -(teacher - student).sign())


def test_the_weight_is_the_disagreement_and_not_itself_learnt() -> None:
    # d/dz of (cross-entropy * |q - p|) with |q - p| held fixed is (p - q) * |q - p|.
    student = logits(0.0).requires_grad_()
    response_loss(student, logits(logit(0.8))).backward()
    assert student.grad is not None
    assert student.grad.item() == pytest.approx((0.5 - 0.8) * 0.3, rel=1e-4)  # teacher's best score 0.8 counts as 1


def test_double_the_disagreement_pulls_four_times_as_hard() -> None:
    pulls = []
    for target in (0.6, 0.7):
        student = logits(0.0).requires_grad_()
        response_loss(student, logits(logit(target))).backward()
        assert student.grad is not None
        pulls.append(abs(student.grad.item()))
    assert pulls[1] == pytest.approx(4 * pulls[0], rel=1e-3)


def test_half_precision_logits_are_computed_in_single() -> None:
    loss = response_loss(logits(-12.0).half(), logits(9.0).half())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(12.0, rel=1e-2)
