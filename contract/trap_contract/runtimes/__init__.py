"""The three runtimes that open a bundle; each is imported only when its format is opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from trap_contract.bundle import bundle_format
from trap_contract.errors import BundleError
from trap_contract.manifest import Quantisation

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor as the file itself declares it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantisation: Quantisation | None = None


class Runtime(Protocol):
    """A loaded model: one input, outputs in the file's order."""

    description: str
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]

    def run(self, tensor: Tensor) -> list[Tensor]:
        """Outputs for one input tensor; the arrays are the caller's."""
        ...


def open_runtime(path: Path, threads: int) -> Runtime:
    """Load a model with the runtime of its format.

    Raises BundleError when the file is damaged or its runtime is not installed.
    """
    kind = bundle_format(path)
    try:
        if kind == "tflite":
            from trap_contract.runtimes.tflite import TfliteRuntime

            return TfliteRuntime(path, threads)
        if kind == "onnx":
            from trap_contract.runtimes.onnx import OnnxRuntime

            return OnnxRuntime(path, threads)
        from trap_contract.runtimes.openvino import OpenvinoRuntime

        return OpenvinoRuntime(path, threads)
    except ImportError as error:
        package = {"tflite": "agent", "onnx": "onnx", "openvino": "openvino"}[kind]
        raise BundleError(f"{path}: no {kind} runtime here: pip install 'zancudo[{package}]' ({error})") from error
