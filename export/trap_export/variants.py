"""The ways to quantise that a sweep tries, and that a refused build falls back on."""

from dataclasses import dataclass
from typing import Literal

Method = Literal["min-max", "percentile", "moving average"]


@dataclass(frozen=True, slots=True)
class Variant:
    """How ranges are found, whether each channel of a weight has its own scale, and what stays float.

    `last`: the 1x1 convolutions that make the outputs. `activations`: those, and sigmoid and product of each SiLU.
    """

    method: Method
    per_channel: bool = True
    keeps_float: Literal["nothing", "last", "activations"] = "last"

    def __str__(self) -> str:
        weights = "per channel" if self.per_channel else "per tensor"
        return f"{self.method}, {weights}, float: {self.keeps_float}"
