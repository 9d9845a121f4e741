"""A trained detector as an export graph: fused, evaluating, its raw per-scale head maps as outputs.

Nothing of the decoding is in the graph. Boxes and scores in one quantised tensor share one scale, and the scores
vanish in it (docs/decisions/0002-split-heads.md).
"""

import types
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from trap_contract.errors import BundleError


@dataclass(frozen=True, slots=True)
class Network:
    """`module` maps a (1, 3, H, W) picture in 0..1 to box_8, cls_8, box_16, cls_16, ... as (1, C, H/s, W/s)."""

    module: nn.Module
    classes: tuple[str, ...]
    width: int
    height: int
    strides: tuple[int, ...]
    reg_max: int

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in order."""
        return [f"{role}_{stride}" for stride in self.strides for role in ("box", "cls")]

    def example(self) -> Tensor:
        """A picture of noise, for tracing."""
        return torch.rand(1, 3, self.height, self.width, generator=torch.Generator().manual_seed(0))


def load_network(weights: Path, width: int, height: int) -> Network:
    """Open an Ultralytics checkpoint for export at one input size.

    Raises BundleError when it is missing, damaged, or not a detector with a DFL head.
    """
    from ultralytics import YOLO
    from ultralytics.nn.modules import Detect

    if not weights.is_file():
        raise BundleError(f"{weights}: no such checkpoint")
    try:
        model = YOLO(str(weights)).model.float().cpu()
    except Exception as error:  # unpickling a damaged file can raise anything
        raise BundleError(f"{weights}: not a checkpoint that Ultralytics can read: {error}") from error
    head = model.model[-1]
    if type(head) is not Detect or getattr(head, "one2one_cv2", None) is not None:
        raise BundleError(f"{weights}: its head is {type(head).__name__}; only v8, v5u and 11 detectors are exported")
    strides = tuple(int(stride) for stride in head.stride)
    if width % strides[-1] or height % strides[-1]:
        raise BundleError(f"{weights}: input {width}x{height} px must be a multiple of its stride {strides[-1]}")
    model = model.fuse(verbose=False).eval()
    for parameter in model.parameters():
        parameter.requires_grad = False
    head.forward = types.MethodType(_raw_maps, head)
    return Network(model, tuple(model.names.values()), width, height, strides, head.reg_max)


def _raw_maps(head: nn.Module, features: list[Tensor]) -> tuple[Tensor, ...]:
    maps = zip(head.cv2, head.cv3, features, strict=True)
    return tuple(branch(feature) for box, cls, feature in maps for branch in (box, cls))
