"""Networks that compute in bfloat16 while they are trained: about twice as fast where the processor has it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from ultralytics.nn.tasks import BaseModel


def has_bfloat16(device: str) -> bool:
    """Whether this device multiplies bfloat16: a CPU with AVX-512 BF16 or AMX, or a GPU."""
    if device != "cpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


@contextlib.contextmanager
def half_networks(device: str) -> Iterator[None]:
    """Students and teachers compute in bfloat16; weights, losses and validation stay in float32.

    Ultralytics' own `amp: bf16` needs a GPU, and decodes boxes in bfloat16, where a step is a whole pixel at 224 px.
    """
    whole = BaseModel.predict

    def predict(model: Any, image: Tensor, *args: Any, **kwargs: Any) -> Any:
        if torch.is_inference_mode_enabled():  # validation
            return whole(model, image, *args, **kwargs)
        with torch.autocast("cpu" if device == "cpu" else "cuda", torch.bfloat16):
            found = whole(model, image, *args, **kwargs)
        return _floats(found)

    BaseModel.predict = predict
    try:
        yield
    finally:
        BaseModel.predict = whole


def _floats(found: Any) -> Any:
    if isinstance(found, Tensor):
        return found.float()
    if isinstance(found, dict):
        return {name: _floats(value) for name, value in found.items()}
    return type(found)(map(_floats, found)) if isinstance(found, list | tuple) else found
