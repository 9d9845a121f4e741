"""ONNX through ONNX Runtime: TensorRT where it is installed, else CUDA, else the CPU."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import onnxruntime

from trap_contract.bundle import read_manifest
from trap_contract.errors import BundleError
from trap_contract.runtimes import Tensor, TensorInfo

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
}


_NAMES = {
    "TensorrtExecutionProvider": "tensorrt",
    "CUDAExecutionProvider": "cuda",
    "CPUExecutionProvider": "cpu",
}


class OnnxRuntime:
    """An ONNX model on the best provider there is, one operator after the other; `description` names the provider."""

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        if overflows(_cpuinfo()):
            options.add_session_config_entry("session.x64quantprecision", "1")
        wanted = providers(onnxruntime.get_available_providers(), path)
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:  # its exception classes live in a private module and share no other base
            raise BundleError(f"{path}: ONNX Runtime can't load it (damaged?): {error}") from error
        # A provider that can't start is left out of the session silently: say what is really used.
        self.description = f"onnx-{_NAMES[self._session.get_providers()[0]]}, {threads} threads"
        self.input = _info(self._session.get_inputs()[0])
        self.outputs = tuple(_info(node) for node in self._session.get_outputs())

    def run(self, tensor: Tensor) -> list[Tensor]:
        """Outputs for one input tensor."""
        return list(self._session.run(None, {self.input.name: tensor}))


def overflows(cpuinfo: str) -> bool:
    """Whether a processor, by its /proc/cpuinfo, is an x86 that adds uint8 by int8 products in 16 bits.

    There ONNX Runtime must be told to widen them. Where VNNI adds in 32 bits that costs half of its speed.
    """
    flags = {flag for line in cpuinfo.splitlines() if line.startswith("flags") for flag in line.split()}
    return "sse2" in flags and not flags & {"avx512_vnni", "avx_vnni"}


def _cpuinfo() -> str:
    source = Path("/proc/cpuinfo")
    return source.read_text() if source.exists() else ""


def providers(available: Collection[str], path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The providers to ask for, best first: TensorRT, CUDA, CPU.

    TensorRT computes in float16, in int8 what the model says is int8, and keeps its engine beside the model where it
    may write: building one takes minutes.
    """
    return [(name, _tensorrt(path) if name.startswith("Tensorrt") else {}) for name in _NAMES if name in available]


def _tensorrt(path: Path) -> dict[str, Any]:
    manifest = read_manifest(path)
    return {
        "trt_fp16_enable": True,
        "trt_int8_enable": manifest is not None and manifest.precision == "int8",
        "trt_engine_cache_enable": os.access(path.parent, os.W_OK),
        "trt_engine_cache_path": str(path.parent),
    }


def _info(node: onnxruntime.NodeArg) -> TensorInfo:
    shape = tuple(side if isinstance(side, int) else -1 for side in node.shape)
    return TensorInfo(node.name, shape, _DTYPES.get(node.type, node.type))
