"""TFLite through ai-edge-litert, or tflite-runtime where that is what the board has."""

from pathlib import Path
from typing import Any

import numpy as np

from trap_contract.errors import BundleError
from trap_contract.manifest import Quantisation
from trap_contract.runtimes import Tensor, TensorInfo

try:
    from ai_edge_litert import interpreter as _litert
except ImportError:
    from tflite_runtime import interpreter as _litert


class TfliteRuntime:
    """A TFLite model on the CPU, XNNPACK included."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            # From memory: the interpreter then can't be pulled from under us when the file is replaced.
            self._interpreter = _litert.Interpreter(model_content=path.read_bytes(), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BundleError(
                f"{path}: TFLite can't load it (damaged, or made for a newer runtime): {error}"
            ) from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.description = f"tflite, {threads} threads"
        self.input = _info(inputs[0])
        self.outputs = tuple(_info(detail) for detail in outputs)
        self._input_index = inputs[0]["index"]
        self._output_indices = [detail["index"] for detail in outputs]

    def run(self, tensor: Tensor) -> list[Tensor]:
        """Outputs for one input tensor."""
        self._interpreter.set_tensor(self._input_index, tensor)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._output_indices]


def _info(detail: dict[str, Any]) -> TensorInfo:
    scale, zero_point = detail["quantization"]
    quantisation = Quantisation(scale=float(scale), zero_point=int(zero_point)) if scale else None
    shape = tuple(int(side) for side in detail["shape"])
    return TensorInfo(detail["name"], shape, np.dtype(detail["dtype"]).name, quantisation)
