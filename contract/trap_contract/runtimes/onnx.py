"""ONNX through ONNX Runtime on the CPU."""

from pathlib import Path

import onnxruntime

from trap_contract.errors import BundleError
from trap_contract.runtimes import Tensor, TensorInfo

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
}


class OnnxRuntime:
    """An ONNX model on the CPU provider, one operator after the other."""

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exception classes live in a private module and share no other base
            raise BundleError(f"{path}: ONNX Runtime can't load it (damaged?): {error}") from error
        self.description = f"onnx-cpu, {threads} threads"
        self.input = _info(self._session.get_inputs()[0])
        self.outputs = tuple(_info(node) for node in self._session.get_outputs())

    def run(self, tensor: Tensor) -> list[Tensor]:
        """Outputs for one input tensor."""
        return list(self._session.run(None, {self.input.name: tensor}))


def _info(node: onnxruntime.NodeArg) -> TensorInfo:
    shape = tuple(side if isinstance(side, int) else -1 for side in node.shape)
    return TensorInfo(node.name, shape, _DTYPES.get(node.type, node.type))
