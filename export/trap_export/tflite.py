"""TFLite by litert-torch and ai-edge-quantizer: channels last, no TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
from trap_contract.manifest import HeadSpec, InputSpec, OutputSpec, Quantisation

from trap_export.calibration import Calibration
from trap_export.network import Network


def write_float(network: Network, file: Path) -> None:
    """Convert to a float32 model with channels-last input and outputs."""
    import litert_torch

    outputs = list(range(len(network.output_names)))
    module = litert_torch.to_channel_last_io(network.module, args=[0], outputs=outputs)
    example = network.example().permute(0, 2, 3, 1).contiguous()
    litert_torch.convert(module.eval(), (example,)).export(str(file))


def write_int8(_network: Network, float_file: Path, calibration: Calibration, file: Path) -> None:
    """Quantise a float model: int8 throughout, input and outputs included, per-channel weights.

    Every output keeps a scale of its own, so the head loses nothing by being int8.
    """
    from ai_edge_quantizer import quantizer, recipe

    name = _input_name(float_file)
    samples = [{name: picture[None]} for picture in calibration.pictures]
    tool = quantizer.Quantizer(str(float_file))
    tool.load_quantization_recipe(recipe.static_wi8_ai8())
    ranges = tool.calibrate({"serving_default": samples}, num_threads=1)
    tool.quantize(ranges, enable_progress_report=False).export_model(str(file), overwrite=True)


def describe(network: Network, file: Path) -> tuple[InputSpec, HeadSpec]:
    """Tensor names, types and scales as the file itself has them."""
    runner = _runner(file)
    source = next(iter(runner.get_input_details().values()))
    found = runner.get_output_details()
    ordered = [found[key] for key in sorted(found, key=lambda key: int(key.rsplit("_", 1)[1]))]
    outputs = [
        OutputSpec.model_validate(
            {"name": d["name"], "role": n.split("_")[0], "stride": n.split("_")[1], "quantisation": _scale(d)}
        )
        for n, d in zip(network.output_names, ordered, strict=True)
    ]
    spec = InputSpec.model_validate(
        {
            "name": source["name"],
            "width": network.width,
            "height": network.height,
            "layout": "NHWC",
            "dtype": np.dtype(source["dtype"]).name,
            "quantisation": _scale(source),
        }
    )
    return spec, HeadSpec(kind="split", outputs=tuple(outputs), layout="NHWC", reg_max=network.reg_max)


def _runner(file: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=1)
    return interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))


def _input_name(file: Path) -> str:
    return str(next(iter(_runner(file).get_input_details())))


def _scale(detail: dict[str, tuple[float, int]]) -> Quantisation | None:
    scale, zero_point = detail["quantization"]
    return Quantisation(scale=float(scale), zero_point=int(zero_point)) if scale else None
