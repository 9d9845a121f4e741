"""OpenVINO IR by its own converter and NNCF's post-training quantisation."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from trap_contract.bundle import openvino_xml
from trap_contract.manifest import HeadSpec, InputSpec
from trap_contract.runtimes.signal_stack import signal_stack_kept

from trap_export import onnx
from trap_export.calibration import Calibration
from trap_export.network import Network
from trap_export.variants import Variant

VARIANTS: tuple[Variant, ...] = (
    Variant("moving average"),
    Variant("min-max"),
    Variant("percentile"),
    Variant("moving average", per_channel=False),
    Variant("moving average", keeps_float="nothing"),
)


def write_float(network: Network, folder: Path) -> None:
    """Convert to a float32 IR, NCHW."""
    _save(_converted(network), folder)


def write_float16(float_folder: Path, folder: Path) -> None:
    """The float32 IR with its weights in float16: half the size; the runtime computes as the CPU does best."""
    import openvino

    model = openvino.Core().read_model(openvino_xml(float_folder))
    _save(model, folder, is_half=True)


def write_int8(network: Network, _float: Path, calibration: Calibration, variant: Variant, folder: Path) -> None:
    """Quantise with NNCF."""
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, QuantizationParameters

    model = _converted(network)
    # As many samples as there are: NNCF otherwise reads only the first 300.
    dataset = nncf.Dataset(
        list(calibration.pictures), lambda picture: np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
    )
    with signal_stack_kept():
        quantised = nncf.quantize(
            model,
            dataset,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(calibration.pictures),
            fast_bias_correction=True,
            ignored_scope=nncf.IgnoredScope(names=_last_convolutions(model) if variant.keeps_float == "last" else []),
            advanced_parameters=AdvancedQuantizationParameters(
                weights_quantization_params=QuantizationParameters(per_channel=None if variant.per_channel else False),
                activations_range_estimator_params=_ranges(variant),
            ),
        )
    _save(quantised, folder)


def _ranges(variant: Variant) -> Any:
    from nncf.quantization.range_estimator import RangeEstimatorParameters, RangeEstimatorParametersSet

    return {
        "moving average": RangeEstimatorParameters(),  # NNCF's own: the mean of the pictures' extremes
        "min-max": RangeEstimatorParametersSet.MINMAX,
        "percentile": RangeEstimatorParametersSet.MEAN_QUANTILE,
    }[variant.method]


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


def _save(model: Any, folder: Path, *, is_half: bool = False) -> None:
    import openvino

    # OpenVINO numbers what it makes by a counter of the process: a second build would get other names.
    model.set_friendly_name("network")
    for number, node in enumerate(model.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{number}")
    folder.mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=is_half)
