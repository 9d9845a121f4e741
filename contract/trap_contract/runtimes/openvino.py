"""OpenVINO IR on the CPU device."""

from pathlib import Path

import numpy as np
import openvino

from trap_contract.bundle import openvino_xml, read_manifest
from trap_contract.errors import BundleError
from trap_contract.runtimes import Tensor, TensorInfo
from trap_contract.runtimes.signal_stack import signal_stack_kept


class OpenvinoRuntime:
    """An OpenVINO model compiled for the CPU, tuned for latency."""

    def __init__(self, path: Path, threads: int) -> None:
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        manifest = read_manifest(path)
        if manifest is not None and manifest.precision != "float16":
            # By itself OpenVINO takes bfloat16 where the processor has it, and then boxes are off by tenths of a px;
            # a stock export is left as Ultralytics runs it.
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        try:
            with signal_stack_kept():
                model = openvino.Core().compile_model(openvino_xml(path), "CPU", settings)
        except RuntimeError as error:
            raise BundleError(f"{path}: OpenVINO can't load it (damaged?): {error}") from error
        self._request = model.create_infer_request()
        self.description = f"openvino-cpu, {threads} threads"
        self.input = _info(model.inputs[0])
        self.outputs = tuple(_info(port) for port in model.outputs)

    def run(self, tensor: Tensor) -> list[Tensor]:
        """Outputs for one input tensor."""
        self._request.set_input_tensor(openvino.Tensor(tensor, shared_memory=True))
        self._request.infer()
        return [self._request.get_output_tensor(place).data.copy() for place in range(len(self.outputs))]


def _info(port: openvino.ConstOutput) -> TensorInfo:
    name = port.get_any_name() if port.get_names() else ""
    shape = tuple(side.get_length() if side.is_static else -1 for side in port.get_partial_shape())
    return TensorInfo(name, shape, np.dtype(port.get_element_type().to_dtype()).name)
