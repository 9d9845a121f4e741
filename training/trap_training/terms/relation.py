"""Terms over similarities: which pictures, and which places in a picture, the teacher finds alike."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trap_training.taps import Positives, Taps
from trap_training.terms.term import Levels, MapTerm


class BatchRelation(MapTerm):
    """Cosine similarities between the pictures of a batch (SPKD, arXiv 1907.09682; RKD, arXiv 1904.05068)."""

    term: Literal["batch_relation"] = "batch_relation"

    def loss(self, student: Taps, teacher: Taps, positives: Positives, adapters: nn.ModuleList) -> Tensor:
        """Mean over levels of the mean squared difference of (B, B) similarities of pooled maps."""
        del positives, adapters
        places = self.places(len(student.maps))
        losses = [relation_loss(_pooled(student.maps[place]), _pooled(teacher.maps[place])) for place in places]
        return sum(losses[1:], losses[0]) / len(losses)


class PositionRelation(MapTerm):
    """Cosine similarities between the positions of a map; level 5 alone by default, as they grow with area squared."""

    term: Literal["position_relation"] = "position_relation"
    levels: Levels = (5,)

    def loss(self, student: Taps, teacher: Taps, positives: Positives, adapters: nn.ModuleList) -> Tensor:
        """Mean over levels of the mean squared difference of (positions, positions) similarities."""
        del positives, adapters
        places = self.places(len(student.maps))
        losses = [relation_loss(_positions(student.maps[place]), _positions(teacher.maps[place])) for place in places]
        return sum(losses[1:], losses[0]) / len(losses)


def relation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the cosine similarities within (..., N, channels): a scalar.

    The two may have different numbers of channels: only similarities are compared.
    """
    return functional.mse_loss(similarities(student.float()), similarities(teacher.detach().float()))


def similarities(vectors: Tensor) -> Tensor:
    """Cosine similarities of vectors (..., N, channels) with each other: (..., N, N)."""
    unit = functional.normalize(vectors, dim=-1)
    with torch.autocast(unit.device.type, enabled=False):  # which would multiply in half precision
        return unit @ unit.transpose(-1, -2)


def _pooled(maps: Tensor) -> Tensor:
    return maps.float().mean(dim=(2, 3))


def _positions(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)
