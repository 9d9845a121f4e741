"""ONNX by PyTorch's exporter and ONNX Runtime's static quantiser."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from trap_contract.manifest import HeadSpec, InputSpec, OutputSpec

from trap_export.calibration import Calibration
from trap_export.network import Network

OPSET = 17
INPUT = "images"


def write_float(network: Network, file: Path) -> None:
    """Convert to a float32 model, NCHW."""
    torch.onnx.export(
        network.module,
        (network.example(),),
        str(file),
        input_names=[INPUT],
        output_names=network.output_names,
        opset_version=OPSET,
        dynamo=False,
    )


def write_int8(network: Network, float_file: Path, calibration: Calibration, file: Path) -> None:
    """Quantise to QDQ form: int8, per-channel weights, asymmetric activations, the last 1x1 convolutions float."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(float_file), str(prepared))
        quantize_static(
            str(prepared),
            str(file),
            _Pictures(calibration.pictures),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=False,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_last_convolutions(prepared, network),
        )


def describe(network: Network, _file: Path) -> tuple[InputSpec, HeadSpec]:
    """Input and outputs, both float: the quantised tensors are inside."""
    spec = InputSpec(name=INPUT, width=network.width, height=network.height, layout="NCHW", dtype="float32")
    outputs = [
        OutputSpec.model_validate({"name": name, "role": name.split("_")[0], "stride": name.split("_")[1]})
        for name in network.output_names
    ]
    return spec, HeadSpec(kind="split", outputs=tuple(outputs), layout="NCHW", reg_max=network.reg_max)


class _Pictures:
    """Calibration pictures one at a time, as ONNX Runtime's CalibrationDataReader has them."""

    def __init__(self, pictures: NDArray[np.float32]) -> None:
        self._feeds: Iterator[NDArray[np.float32]] = iter(pictures)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        picture = next(self._feeds, None)
        return None if picture is None else {INPUT: np.ascontiguousarray(picture.transpose(2, 0, 1)[None])}


def _last_convolutions(file: Path, network: Network) -> list[str]:
    """Node names of the convolutions that make the outputs."""
    import onnx

    outputs = set(network.output_names)
    return [node.name for node in onnx.load(str(file)).graph.node if outputs & set(node.output)]
