"""ONNX by PyTorch's exporter and ONNX Runtime's static quantiser."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from trap_contract.manifest import HeadSpec, InputSpec, OutputSpec

from trap_export.calibration import Calibration
from trap_export.network import Network
from trap_export.variants import Variant

OPSET = 17
INPUT = "images"
VARIANTS: tuple[Variant, ...] = (
    Variant("min-max"),
    Variant("percentile"),
    Variant("moving average"),
    Variant("min-max", per_channel=False),
    Variant("min-max", keeps_float="nothing"),
    Variant("min-max", keeps_float="activations"),
)
_RANGES: dict[str, dict[str, object]] = {
    "min-max": {},
    # One picture a stride: the histograms otherwise wait until every tensor of every picture is in memory.
    "percentile": {"CalibPercentile": 99.999, "CalibStridedMinMax": 1},
    "moving average": {"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.05},
}


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


def write_int8(network: Network, float_file: Path, calibration: Calibration, variant: Variant, file: Path) -> None:
    """Quantise to QDQ form: uint8 activations, asymmetric, by int8 weights.

    ONNX Runtime has one kernel for that pair on every processor with an int8 dot product, x86 (VNNI) and Arm alike; for
    int8 by int8 it has none on x86, and such a file runs slower there than float.
    """
    quantise(network, float_file, calibration, variant, file, activations="uint8", options={})


def quantise(
    network: Network,
    float_file: Path,
    calibration: Calibration,
    variant: Variant,
    file: Path,
    *,
    activations: Literal["uint8", "int8"],
    options: Mapping[str, object],
) -> None:
    """Quantise to QDQ form with options of ONNX Runtime's quantiser."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    method = CalibrationMethod.Percentile if variant.method == "percentile" else CalibrationMethod.MinMax
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(float_file), str(prepared))
        quantize_static(
            str(prepared),
            str(file),
            _Pictures(calibration.pictures),
            quant_format=QuantFormat.QDQ,
            activation_type={"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}[activations],
            weight_type=QuantType.QInt8,
            per_channel=variant.per_channel,
            reduce_range=False,
            calibrate_method=method,
            nodes_to_exclude=_kept_float(prepared, network, variant),
            extra_options={**_RANGES[variant.method], **options},
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
        self._pictures = pictures
        self.set_range(0, len(pictures))

    def __len__(self) -> int:
        return len(self._pictures)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._feeds: Iterator[NDArray[np.float32]] = iter(self._pictures[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        picture = next(self._feeds, None)
        return None if picture is None else {INPUT: np.ascontiguousarray(picture.transpose(2, 0, 1)[None])}


def _kept_float(file: Path, network: Network, variant: Variant) -> list[str]:
    """Names of the nodes that a variant leaves float."""
    import onnx

    nodes = onnx.load(str(file)).graph.node
    outputs = set(network.output_names)
    last = [node.name for node in nodes if outputs & set(node.output)]
    silu = [node.name for node in nodes if node.op_type in ("Sigmoid", "Mul")]
    return {"nothing": [], "last": last, "activations": last + silu}[variant.keeps_float]
