"""Terms over boxes: distributions of sides on the anchors that matter, and boxes where the classes are disputed."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from trap_training.taps import Taps
from trap_training.terms.localisation import Boxes, Localisation, localisation_loss

from training.terms.pairs import pair, positives


def certain(*distances: int, bins: int = 16) -> Tensor:
    """Box logits of one anchor that is sure of its four distances."""
    logits = torch.full((1, 4, bins, 1), -30.0)
    for side, distance in enumerate(distances):
        logits[0, side, distance, 0] = 30.0
    return logits


def plain(*distances: float) -> Tensor:
    """The same from a head without bins."""
    return torch.tensor(distances).reshape(1, 4, 1, 1)


def boxes_loss(student: Tensor, teacher: Tensor) -> float:
    """Of one anchor whose classes are wholly disputed."""
    taps = [Taps(torch.full((1, 1, 1), logit), boxes, ()) for logit, boxes in ((-40.0, student), (40.0, teacher))]
    return Boxes().loss(*taps, positives(), torch.nn.ModuleList()).item()


def test_the_worked_example_on_one_side_of_four():
    teacher, student = torch.tensor([0.7, 0.2, 0.1]).log(), torch.tensor([0.5, 0.4, 0.1]).log()
    same = torch.zeros(3)
    sides = [torch.stack([first, same, same, same]).reshape(1, 4, 3, 1) for first in (student, teacher)]
    loss = localisation_loss(*sides, weights=torch.ones(1, 1), temperature=1)
    assert loss.item() == pytest.approx(0.09690 / 4, abs=1e-5)


def test_only_weighted_anchors_teach_localisation():
    both = pair()
    both.loss(Localisation()).backward()
    assert both.student.box_logits.grad is not None
    touched = both.student.box_logits.grad.abs().sum(dim=(1, 2)) > 0
    assert torch.equal(touched, positives().mask)


def test_a_teacher_that_sees_something_teaches_localisation_without_positives():
    both = replace(pair(), positives=positives(count=0))
    assert both.loss(Localisation(where="teacher")).item() > 0


def test_a_head_without_bins_is_told_to_learn_boxes():
    assert "use boxes" in str(Localisation().fault(classes=5, bins=1))
    assert Localisation().fault(classes=1, bins=16) is None
    assert Boxes().fault(classes=1, bins=1) is None


@pytest.mark.parametrize("head", [certain, plain])
def test_a_box_half_as_wide_costs_half(head):
    assert boxes_loss(head(2, 2, 0, 2), head(2, 2, 2, 2)) == pytest.approx(0.5, abs=1e-5)


def test_boxes_far_apart_cost_more_than_one():
    # Two unit squares, 10 cells from centre to centre: no overlap, and 9 of the 11 cells around both are empty.
    assert boxes_loss(plain(5.5, 0.5, -4.5, 0.5), plain(-4.5, 0.5, 5.5, 0.5)) == pytest.approx(1 + 9 / 11, abs=1e-5)


def test_sides_that_have_changed_places_still_make_a_box():
    assert boxes_loss(plain(-1, 1, -1, 1), plain(1, 1, 1, 1)) == pytest.approx(0, abs=1e-5)


def test_boxes_teach_nothing_where_the_classes_agree():
    both = pair()
    agreeing = replace(both, student=replace(both.student, cls_logits=both.teacher.cls_logits))
    assert agreeing.loss(Boxes()).item() == 0
