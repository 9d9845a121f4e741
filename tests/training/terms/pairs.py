"""Answers of a student and a teacher that disagree: two pictures, heads on strides 8, 16 and 32 of 64 px."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from trap_training.taps import Positives, Taps
from trap_training.terms import Term

SIDES = (8, 4, 2)
ANCHORS = sum(side * side for side in SIDES)
CHANNELS = (6, 5, 4)


@dataclass(frozen=True, slots=True)
class Pair:
    """What a term compares, and the layers it is given."""

    student: Taps
    teacher: Taps
    positives: Positives

    def loss(self, term: Term) -> Tensor:
        """The term's loss, with its own adapters, or the projector that the wrapper hands to `native`."""
        channels = [tuple(tap.shape[1] for tap in taps.maps) for taps in (self.student, self.teacher)]
        torch.manual_seed(0)
        layers = nn.ModuleList(nn.Identity() if a == b else nn.Conv2d(a, b, 1) for a, b in zip(*channels, strict=True))
        return term.loss(
            self.student, self.teacher, self.positives, term.adapters(*channels) if term.name != "native" else layers
        )


def taps(seed: int, classes: int = 5, bins: int = 16, channels: tuple[int, ...] = CHANNELS) -> Taps:
    """Random answers that know gradients."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return (torch.randn(2, *shape, generator=generator) * 2).requires_grad_()

    maps = tuple(normal(width, side, side) for width, side in zip(channels, SIDES, strict=True))
    return Taps(normal(classes, ANCHORS), normal(4, bins, ANCHORS), maps)


def positives(classes: int = 5, count: int = 7) -> Positives:
    """So many positive anchors in each picture."""
    mask = torch.zeros(2, ANCHORS, dtype=torch.bool)
    mask[:, 3 : 3 + count] = True
    targets = torch.zeros(2, ANCHORS, classes)
    targets[..., classes - 1] = mask * torch.linspace(0.2, 0.9, ANCHORS)
    return Positives(targets, mask)


def pair(seed: int = 0, classes: int = 5, bins: int = 16, teacher_channels: tuple[int, ...] = CHANNELS) -> Pair:
    """Two that disagree about everything."""
    student, teacher = taps(2 * seed, classes, bins), taps(2 * seed + 1, classes, bins, teacher_channels)
    return Pair(student, teacher, positives(classes))


def leaves(answers: Taps) -> list[Tensor]:
    """All tensors of some taps."""
    return [answers.cls_logits, answers.box_logits, *answers.maps]


def cast(answers: Taps, dtype: torch.dtype) -> Taps:
    """The same answers in another precision."""
    maps = tuple(tap.detach().to(dtype) for tap in answers.maps)
    return Taps(answers.cls_logits.detach().to(dtype), answers.box_logits.detach().to(dtype), maps)
