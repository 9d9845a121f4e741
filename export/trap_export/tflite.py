"""TFLite by litert-torch and ai-edge-quantizer: channels last, no TensorFlow."""

import functools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trap_contract.manifest import HeadSpec, InputSpec, OutputSpec, Quantisation

from trap_export.calibration import Calibration
from trap_export.network import Network
from trap_export.variants import Method, Variant

VARIANTS: tuple[Variant, ...] = (
    Variant("moving average", keeps_float="nothing"),
    Variant("min-max", keeps_float="nothing"),
    Variant("percentile", keeps_float="nothing"),
    Variant("moving average", per_channel=False, keeps_float="nothing"),
)
_SAME_VALUES = ("CONCATENATION", "SLICE", "RESIZE_NEAREST_NEIGHBOR", "MAX_POOL_2D")
Ranges = dict[str, dict[str, NDArray[np.float32]]]


def write_float(network: Network, file: Path) -> None:
    """Convert to a float32 model with channels-last input and outputs."""
    import litert_torch

    outputs = list(range(len(network.output_names)))
    module = litert_torch.to_channel_last_io(network.module, args=[0], outputs=outputs)
    example = network.example().permute(0, 2, 3, 1).contiguous()
    litert_torch.convert(module.eval(), (example,)).export(str(file))


def write_int8(_network: Network, float_file: Path, calibration: Calibration, variant: Variant, file: Path) -> None:
    """Quantise a float model: int8 throughout, input and outputs included.

    Every output keeps a scale of its own, and one that covers every picture: what is cut off there is a score that no
    picture can reach any more. What is put together has one scale, or each part would be quantised anew for it.
    """
    from ai_edge_quantizer import qtyping, quantizer, recipe_manager

    granularity = qtyping.QuantGranularity
    rules = recipe_manager.RecipeManager()
    rules.add_static_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
        weight_granularity=granularity.CHANNELWISE if variant.per_channel else granularity.TENSORWISE,
    )
    tool = quantizer.Quantizer(str(float_file))
    tool.load_quantization_recipe(rules.get_quantization_recipe())
    found = _extremes(float_file, calibration, rules)
    whole = combined(found, "min-max")
    outputs = {str(detail["name"]) for detail in _runner(float_file).get_output_details().values()}
    ranges = tied(combined(found, variant.method), _tied_tensors(float_file)) | {name: whole[name] for name in outputs}
    tool.quantize(ranges, enable_progress_report=False).export_model(str(file), overwrite=True)


def combined(pictures: list[Ranges], method: Method) -> Ranges:
    """One range for each tensor from its least and greatest value in each picture.

    `percentile` leaves out the most extreme twentieth of the pictures on either side; `moving average` weighs a
    picture with 0.05, as ai-edge-quantizer does by itself.
    """
    return {
        name: {side: _combined([found[name][side] for found in pictures], side, method) for side in extremes}
        for name, extremes in pictures[0].items()
    }


def _combined(values: list[NDArray[np.float32]], side: str, method: Method) -> NDArray[np.float32]:
    if method == "moving average":
        return functools.reduce(lambda mean, value: np.float32(0.95) * mean + np.float32(0.05) * value, values)
    outermost = {"min-max": 0, "percentile": 5}[method]
    share = outermost if side == "min" else 100 - outermost
    return np.asarray(np.percentile(np.stack(values), share, axis=0), np.float32)


def tied(ranges: Ranges, groups: Sequence[Collection[str]]) -> Ranges:
    """The ranges, with one for all tensors of a group, which covers each of theirs."""
    known = [[ranges[name] for name in group] for group in groups]
    covering = [
        {"min": functools.reduce(np.minimum, [one["min"] for one in found]),
         "max": functools.reduce(np.maximum, [one["max"] for one in found])}
        for found in known
    ]  # fmt: skip
    return ranges | {name: whole for group, whole in zip(groups, covering, strict=True) for name in group}


def _tied_tensors(float_file: Path) -> list[list[str]]:
    """Names of the tensors that must share a scale so that nothing is quantised twice: parts and whole of each
    concatenation, and what is only cut, enlarged or pooled from them.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(float_file), num_threads=1)
    names = {tensor["index"]: tensor["name"] for tensor in interpreter.get_tensor_details()}
    groups: list[set[int]] = []
    for op in interpreter._get_ops_details():  # noqa: SLF001 - there is no public list
        if op["op_name"] in _SAME_VALUES:
            inputs = op["inputs"] if op["op_name"] == "CONCATENATION" else op["inputs"][:1]
            touched = {*map(int, inputs), *map(int, op["outputs"])}
            apart = [group for group in groups if not group & touched]
            groups = [*apart, touched.union(*(group for group in groups if group & touched))]
    return [sorted(names[index] for index in group) for group in groups]


def _extremes(float_file: Path, calibration: Calibration, rules: Any) -> list[Ranges]:
    """Of each picture, the least and greatest value of every tensor."""
    from ai_edge_quantizer import calibrator

    name, tool = _input_name(float_file), calibrator.Calibrator(str(float_file), num_threads=1)
    found = []
    for picture in calibration.pictures:
        tool.reset_model_qsvs()
        tool.calibrate({"serving_default": [{name: picture[None]}]}, rules)
        found.append(tool.get_model_qsvs())
    return found


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
