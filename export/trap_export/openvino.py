"""OpenVINO IR by its own converter and NNCF's post-training quantisation."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from trap_contract.manifest import HeadSpec, InputSpec

from trap_export import onnx
from trap_export.calibration import Calibration
from trap_export.network import Network


def write_float(network: Network, folder: Path) -> None:
    """Convert to a float32 IR, NCHW."""
    _save(_converted(network), folder)


def write_int8(network: Network, _float: Path, calibration: Calibration, folder: Path) -> None:
    """Quantise with NNCF; the last 1x1 convolutions stay float."""
    import nncf

    model = _converted(network)
    # As many samples as there are: NNCF otherwise reads only the first 300.
    dataset = nncf.Dataset(
        list(calibration.pictures), lambda picture: np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
    )
    quantised = nncf.quantize(
        model,
        dataset,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(calibration.pictures),
        fast_bias_correction=True,
        ignored_scope=nncf.IgnoredScope(names=_last_convolutions(model)),
    )
    _save(quantised, folder)


def describe(network: Network, folder: Path) -> tuple[InputSpec, HeadSpec]:
    """Input and outputs: as in the ONNX file, both float."""
    return onnx.describe(network, folder)


def _converted(network: Network) -> Any:
    import openvino

    example = network.example()
    traced = torch.jit.trace(network.module, example, strict=False, check_trace=False)
    model = openvino.convert_model(traced, input=example.shape, example_input=example)
    model.inputs[0].set_names({onnx.INPUT})
    for port, name in zip(model.outputs, network.output_names, strict=True):
        port.set_names({name})
    return model


def _last_convolutions(model: Any) -> list[str]:
    """Operations between the outputs and the convolutions that make them, those included."""
    names = []
    for port in model.outputs:
        node = port.get_node().input_value(0).get_node()
        while True:
            names.append(node.get_friendly_name())
            if node.get_type_name() == "Convolution":
                break
            node = node.input_value(0).get_node()
    return names


def _save(model: Any, folder: Path) -> None:
    import openvino

    folder.mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
