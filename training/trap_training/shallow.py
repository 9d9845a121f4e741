"""The backbone's maps, which no head hands out: found once, captured during a forward pass."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ShallowMap:
    """A backbone layer whose map has the size of one of the head's inputs, and the map's channels."""

    layer: int
    channels: int


def shallow_maps(model: Any) -> tuple[ShallowMap, ...]:
    """For each input of the head, the backbone's last layer with a map of that size."""
    backbone = len(model.yaml["backbone"])
    layers = [*range(backbone), *model.model[-1].f]
    side = int(model.stride.max()) * 2
    weights = next(model.parameters())
    was_training = model.training
    model.eval()
    with torch.no_grad(), _hooked(model, layers) as maps:
        model(torch.zeros(1, model.yaml.get("channels", 3), side, side, device=weights.device, dtype=weights.dtype))
    model.train(was_training)
    sizes = [maps[layer].shape[-1] for layer in model.model[-1].f]
    found = [max(layer for layer in range(backbone) if maps[layer].shape[-1] == size) for size in sizes]
    return tuple(ShallowMap(layer, maps[layer].shape[1]) for layer in found)


@contextlib.contextmanager
def captured(model: Any, wanted: tuple[ShallowMap, ...]) -> Iterator[list[Tensor]]:
    """The list that a forward pass within fills with these maps; no hook is left on the model."""
    out: list[Tensor] = []
    with _hooked(model, [found.layer for found in wanted]) as maps:
        yield out
    out += [maps[found.layer] for found in wanted]


@contextlib.contextmanager
def _hooked(model: Any, layers: list[int]) -> Iterator[dict[int, Tensor]]:
    maps: dict[int, Tensor] = {}
    handles = [model.model[layer].register_forward_hook(partial(_keep, maps, layer)) for layer in layers]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def _keep(maps: dict[int, Tensor], layer: int, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
    maps[layer] = output
