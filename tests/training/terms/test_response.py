"""Terms over class logits: nothing to learn is zero, and the student alone learns, most where it is most wrong."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from trap_training.terms.response import Softened, response_loss, softened_loss, softmax_divergence

from training.terms.pairs import pair, positives


def logits(*values: float) -> Tensor:
    """One picture, one class, an anchor for each value."""
    return torch.tensor(values).reshape(1, 1, -1)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def entropy(q: float, p: float) -> float:
    """Cross-entropy of a coin p under the truth q."""
    return -(q * math.log(p) + (1 - q) * math.log(1 - p))


@given(st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=12))
def test_agreement_is_zero_and_teaches_nothing(values: list[float]):
    student = logits(*values).requires_grad_()
    loss = response_loss(student, logits(*values))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert student.grad is not None
    assert student.grad.abs().max().item() == pytest.approx(0, abs=1e-6)


@given(st.integers(0, 10_000))
def test_disagreement_is_never_negative(seed: int):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(2, 5, 7, generator=generator) * 3 for _ in range(2))
    assert response_loss(student, teacher).item() >= -1e-6


def test_a_worked_example():
    # Two anchors of two classes. Teacher: (0.8, 0.1) and (0.3, 0.5); student: (0.5, 0.1) and (0.3, 0.9).
    teacher = torch.tensor([[[logit(0.8), logit(0.3)], [logit(0.1), logit(0.5)]]])
    student = torch.tensor([[[logit(0.5), logit(0.3)], [logit(0.1), logit(0.9)]]])
    first = (entropy(0.8, 0.5) - entropy(0.8, 0.8)) * 0.3
    second = (entropy(0.5, 0.9) - entropy(0.5, 0.5)) * 0.4
    expected = (first + second) / (0.8 + 0.5)  # the best scores of the two anchors
    assert response_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_a_teacher_that_sees_nothing_does_not_blow_the_loss_up():
    loss = response_loss(logits(0.0), logits(-20.0))
    assert loss.item() == pytest.approx(math.log(2) * 0.5, rel=1e-4)  # divided by 1, not by the teacher's 2e-9


def test_the_teacher_learns_nothing():
    teacher, student = logits(1.0, -2.0).requires_grad_(), logits(0.0, 0.0).requires_grad_()
    response_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert (student.grad != 0).all()


def test_a_step_down_the_gradient_brings_the_student_nearer():
    teacher, student = logits(2.0, -1.0, 0.5), logits(0.0, 0.0, 0.0).requires_grad_()
    response_loss(student, teacher).backward()
    assert student.grad is not None
    assert torch.equal(student.grad.sign(), -(teacher - student).sign())


def test_the_weight_is_the_disagreement_and_not_itself_learnt():
    # d/dz of (cross-entropy * |q - p|) with |q - p| held fixed is (p - q) * |q - p|.
    student = logits(0.0).requires_grad_()
    response_loss(student, logits(logit(0.8))).backward()
    assert student.grad is not None
    assert student.grad.item() == pytest.approx((0.5 - 0.8) * 0.3, rel=1e-4)  # teacher's best score 0.8 counts as 1


def test_double_the_disagreement_pulls_four_times_as_hard():
    pulls = []
    for target in (0.6, 0.7):
        student = logits(0.0).requires_grad_()
        response_loss(student, logits(logit(target))).backward()
        assert student.grad is not None
        pulls.append(abs(student.grad.item()))
    assert pulls[1] == pytest.approx(4 * pulls[0], rel=1e-3)


def test_half_precision_logits_are_computed_in_single():
    loss = response_loss(logits(-12.0).half(), logits(9.0).half())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(12.0, rel=1e-2)


TEACHER, STUDENT = (0.7, 0.2, 0.1), (0.5, 0.4, 0.1)


def rows(*probabilities: tuple[float, ...]) -> Tensor:
    """Softmax logits of one anchor each."""
    return torch.tensor(probabilities, dtype=torch.float64).log()


def divergence(student: tuple[float, ...], teacher: tuple[float, ...]) -> float:
    return softmax_divergence(rows(student), rows(teacher), 1.0, dim=1).item()


def test_the_worked_example_of_softened_classes_is_0_097_nats():
    assert divergence(STUDENT, TEACHER) == pytest.approx(0.09690, abs=1e-5)
    by_hand = 0.7 * math.log(0.7 / 0.5) + 0.2 * math.log(0.2 / 0.4)  # the third class agrees
    assert divergence(STUDENT, TEACHER) == pytest.approx(by_hand, rel=1e-5)


def test_0_085_is_the_worked_example_in_no_direction_and_by_no_logarithm():
    # 0.0970 is 0.0969 rounded upwards, 0.10 is the same to two places; 0.085, also met, is none of these six.
    onward, back = divergence(STUDENT, TEACHER), divergence(TEACHER, STUDENT)
    assert back == pytest.approx(0.10902, abs=1e-5)
    values = [value / math.log(base) for value in (onward, back) for base in (math.e, 2, 10)]
    assert [round(value, 4) for value in values] == [0.0969, 0.1398, 0.0421, 0.1090, 0.1573, 0.0473]


def test_a_constant_added_to_all_logits_is_not_taught_by_a_softmax():
    moved = softmax_divergence(rows(STUDENT) + 3, rows(TEACHER) - 2, 1.0, dim=1)
    assert moved.item() == pytest.approx(divergence(STUDENT, TEACHER), rel=1e-5)


@pytest.mark.parametrize("loss", [response_loss, lambda *pair: softmax_divergence(*pair, dim=1).sum()])
def test_temperature_squared_keeps_the_size_of_the_gradient(loss: Any):
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(1, 5, 1, generator=generator) for _ in range(2))
    pulls = []
    for temperature in (20.0, 40.0):
        learner = student.clone().requires_grad_()
        loss(learner, teacher, temperature).backward()
        assert learner.grad is not None
        pulls.append(learner.grad.norm().item())
    # Without it the softmax's pull would fall to a quarter; the weight |q - p| of the response halves by itself.
    assert pulls[1] / pulls[0] == pytest.approx(0.5 if loss is response_loss else 1.0, rel=0.02)


@given(st.floats(0, 1), st.floats(0.5, 10))
def test_alpha_is_the_share_of_the_task(alpha: float, temperature: float):
    student, teacher, classes = rows(STUDENT, TEACHER), rows(TEACHER, STUDENT), torch.tensor([0, 2])
    hard = torch.tensor([-math.log(0.5), -math.log(0.1)])
    soft = softmax_divergence(student, teacher, temperature, dim=1)
    found = softened_loss(student, teacher, classes, temperature, alpha)
    torch.testing.assert_close(found.float(), (alpha * hard + (1 - alpha) * soft).float())


def test_a_student_that_agrees_with_its_teacher_is_left_with_the_task():
    agreed = softened_loss(rows(TEACHER), rows(TEACHER), torch.tensor([1]), 4.0, 0.3)
    assert agreed.item() == pytest.approx(-0.3 * math.log(0.2), rel=1e-5)


def test_the_softened_term_learns_on_positive_anchors_alone():
    both = pair()
    both.loss(Softened()).backward()
    assert both.student.cls_logits.grad is not None
    assert torch.equal(both.student.cls_logits.grad.abs().sum(dim=1) > 0, positives().mask)


def test_a_softmax_over_one_class_is_refused():
    assert "use response" in str(Softened().fault(classes=1, bins=16))
    assert Softened().fault(classes=2, bins=1) is None
