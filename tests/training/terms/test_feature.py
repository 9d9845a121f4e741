"""Terms over neck maps: worked examples, and what each is blind to."""

import math

import pytest
import torch
from torch import Tensor, nn
from trap_training.taps import Taps
from trap_training.terms.feature import ChannelWise, Hint, Native, Pearson, native_loss

from training.terms.pairs import CHANNELS, SIDES, pair, positives


def one_map(*values: float) -> Tensor:
    """One channel of a 2 x 2 map."""
    return torch.tensor(values).reshape(1, 1, 2, 2)


def random_maps() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 4, 4, generator=generator), torch.randn(2, 3, 4, 4, generator=generator)


def test_the_worked_example_of_a_hint_is_0_01():
    assert Hint().map_loss(one_map(0.8, 0.1, 0.6, 0.3), one_map(0.7, 0.2, 0.5, 0.4)).item() == pytest.approx(0.01)


def test_the_worked_example_of_a_channel_is_0_097_nats_a_channel():
    teacher, student = one_map(0.7, 0.2, 0.05, 0.05).log(), one_map(0.5, 0.4, 0.05, 0.05).log()
    by_hand = 0.7 * math.log(0.7 / 0.5) + 0.2 * math.log(0.2 / 0.4)
    assert ChannelWise(temperature=1).map_loss(student, teacher).item() == pytest.approx(by_hand, rel=1e-4)
    twice = [tap.repeat(3, 2, 1, 1) for tap in (student, teacher)]
    assert ChannelWise(temperature=1).map_loss(*twice).item() == pytest.approx(by_hand, rel=1e-4)


def test_temperature_squared_keeps_the_size_of_the_channels_gradient():
    student, teacher = random_maps()
    pulls = []
    for temperature in (20.0, 40.0):
        learner = student.clone().requires_grad_()
        ChannelWise(temperature=temperature).map_loss(learner, teacher).backward()
        assert learner.grad is not None
        pulls.append(learner.grad.norm().item())
    assert pulls[1] == pytest.approx(pulls[0], rel=0.02)


def test_pearson_is_one_minus_the_correlation():
    student, teacher = random_maps()
    pairs = zip(student.transpose(0, 1), teacher.transpose(0, 1), strict=True)
    correlations = [torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] for a, b in pairs]
    assert Pearson().map_loss(student, teacher).item() == pytest.approx(1 - torch.stack(correlations).mean().item())


def test_pearson_is_blind_to_scale_and_offset_and_a_hint_is_not():
    student, teacher = random_maps()
    assert Pearson().map_loss(5 * teacher + 2, teacher).item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(Pearson().map_loss(9 * student - 4, teacher), Pearson().map_loss(student, teacher))
    assert Hint().map_loss(5 * teacher + 2, teacher).item() > 1


def test_a_silent_channel_has_a_gradient():
    student, teacher = torch.zeros(1, 1, 4, 4, requires_grad=True), torch.randn(1, 1, 4, 4)
    Pearson().map_loss(student, teacher).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_the_native_loss_looks_where_the_teacher_sees_something():
    student, teacher = one_map(1, 0, 0, 3), one_map(0, 0, 0, 0)
    # Squares 1 and 9, scores 0.9 and 0.1: (0.9 + 0.9) / 1.0.
    assert native_loss(student, teacher, one_map(0.9, 0, 0, 0.1)).item() == pytest.approx(1.8, rel=1e-6)


def test_the_native_loss_is_a_mean_over_channels():
    student, teacher, scores = one_map(1, 2, 3, 4), one_map(4, 3, 2, 1), one_map(0.2, 0.4, 0.6, 0.8)
    wide = native_loss(student.repeat(1, 7, 1, 1), teacher.repeat(1, 7, 1, 1), scores)
    torch.testing.assert_close(wide, native_loss(student, teacher, scores))


def test_large_half_precision_maps_do_not_overflow():
    far = one_map(60_000, 0, 0, 0).half()
    assert native_loss(far, -far, one_map(1, 1, 1, 1)).isfinite()


def test_the_native_term_uses_the_projector_it_is_handed():
    both = pair()
    projector = nn.ModuleList(nn.Conv2d(width, width, 1) for width in CHANNELS)
    Native().loss(both.student, both.teacher, both.positives, projector).backward()
    assert all(weight.grad is not None for weight in projector.parameters())


def test_adapters_are_made_only_where_channels_differ():
    layers = ChannelWise().adapters((4, 5, 6), (4, 7, 6))
    assert [type(layer) for layer in layers] == [nn.Identity, nn.Conv2d, nn.Identity]
    assert len(Hint(levels=(3, 5)).adapters((4, 5, 6), (8, 8, 8))) == 2


def test_levels_are_counted_from_the_coarsest_map():
    # A head on strides 16 and 32 has levels 4 and 5 alone.
    maps = [tuple(torch.full((1, 2, side, side), value) for side in SIDES[1:]) for value in (1.0, 3.0)]
    student, teacher = (Taps(torch.zeros(1, 5, 20), torch.zeros(1, 4, 16, 20), tap) for tap in maps)
    layers = Hint(levels=(3, 5)).adapters((2, 2), (2, 2))
    assert Hint(levels=(3, 5)).loss(student, teacher, positives(), layers).item() == 4
