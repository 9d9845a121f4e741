"""A trained detector as an export graph: fused, evaluating, its raw per-scale head maps as outputs.

Nothing of the decoding is in the graph. Boxes and scores in one quantised tensor share one scale, and the scores
vanish in it (docs/decisions/0002-split-heads.md).
"""

import types
from dataclasses import dataclass
from itertools import accumulate
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

    Of the two branches of a YOLO26 head the one-to-many is taken. The trap suppresses overlaps anyway, so the other
    one's freedom from suppression gains nothing; it scores lower, and keeps duplicates down by small differences of
    score, which INT8 rounds away.

    Raises BundleError when it is missing, damaged, or not a detector.
    """
    from ultralytics import YOLO
    from ultralytics.nn.modules import Detect
    from ultralytics.nn.modules.block import Attention, C2f

    if not weights.is_file():
        raise BundleError(f"{weights}: no such checkpoint")
    try:
        model = YOLO(str(weights)).model.float().cpu()
    except Exception as error:  # unpickling a damaged file can raise anything
        raise BundleError(f"{weights}: not a checkpoint that Ultralytics can read: {error}") from error
    head = model.model[-1]
    if type(head) is not Detect:
        raise BundleError(
            f"{weights}: its head is {type(head).__name__}; only v8, v5u, 11 and 26 detectors are exported"
        )
    strides = tuple(int(stride) for stride in head.stride)
    if width % strides[-1] or height % strides[-1]:
        raise BundleError(f"{weights}: input {width}x{height} px must be a multiple of its stride {strides[-1]}")
    head.end2end = False  # before fusing, which drops the branch that is not in use
    model = model.fuse(verbose=False).eval()
    for parameter in model.parameters():
        parameter.requires_grad = False
    head.forward = types.MethodType(_raw_maps, head)
    for block in model.modules():
        if type(block) is Attention:
            block.forward = types.MethodType(_attention, block)
        elif isinstance(block, C2f):
            block.forward = types.MethodType(_cross_stage, block)
    return Network(model, tuple(model.names.values()), width, height, strides, head.reg_max)


def _raw_maps(head: nn.Module, features: list[Tensor]) -> tuple[Tensor, ...]:
    branch = head.one2one if head.cv2 is None else head.one2many  # a fused YOLO26 keeps the one branch it used
    maps = zip(branch["box_head"], branch["cls_head"], features, strict=True)
    return tuple(branch(feature) for box, cls, feature in maps for branch in (box, cls))


def _cross_stage(block: nn.Module, x: Tensor) -> Tensor:
    """A C2f or C3k2 block that cuts off the half it works on, but never cuts what it puts together again.

    x and the result: (1, C, H, W). The same numbers as Ultralytics' own, in fewer copies.
    """
    whole = block.cv1(x)
    found, half = [whole], whole[:, block.c :]
    for inner in block.m:
        half = inner(half)
        found.append(half)
    joined: Tensor = block.cv2(torch.cat(found, 1))
    return joined


def _attention(block: nn.Module, x: Tensor) -> Tensor:
    """Self-attention of 11 and 26, computed head by head with channels last, so that TFLite need not transpose.

    x and the result: (1, C, H, W). Same sums as Ultralytics' own, in another order of axes.
    """
    _, channels, height, width = x.shape
    rows = block.qkv(x).permute(0, 2, 3, 1).reshape(1, height * width, -1)
    sizes = (block.key_dim, block.key_dim, block.head_dim) * block.num_heads
    parts = [rows[..., end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True)]
    heads = list(zip(parts[0::3], parts[1::3], parts[2::3], strict=True))
    attended = [((q * block.scale) @ k.transpose(1, 2)).softmax(dim=2) @ v for q, k, v in heads]
    seen, values = (
        torch.cat(found, dim=2).reshape(1, height, width, channels).permute(0, 3, 1, 2)
        for found in (attended, parts[2::3])
    )
    projected: Tensor = block.proj(seen + block.pe(values))
    return projected
