"""A manifest for a stock Ultralytics export, from its own metadata and tensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trap_contract.bundle import bundle_format, read_stock_properties
from trap_contract.errors import BundleError
from trap_contract.manifest import HeadSpec, InputSpec, Manifest, OutputSpec
from trap_contract.runtimes import Runtime, TensorInfo

DEFAULT_THRESHOLD = 0.25
"""Ultralytics' own default confidence; a stock export recommends none."""


def stock_manifest(path: Path, runtime: Runtime) -> Manifest:
    """What a manifest of ours would have said about this export.

    Raises BundleError when it is not a detector with one decoded output.
    """
    properties = read_stock_properties(path)
    kind = bundle_format(path)
    classes = _class_names(path, properties["names"])
    _check(path, properties, runtime, len(classes))
    precision = "int8" if (properties.get("args") or {}).get("quantize") == 8 else "float32"
    return Manifest.model_validate(
        {
            "id": path.stem,
            "format": kind,
            "precision": precision,
            "classes": classes,
            "input": _input_spec(path, runtime.input),
            # LiteRT exports divide boxes by the input size so that one int8 scale serves boxes and scores.
            "head": _head_spec(runtime.outputs[0], "relative" if kind == "tflite" else "pixel"),
            "threshold": DEFAULT_THRESHOLD,
            "licence": str(properties.get("license", "unknown")),
            "stock": True,
        }
    )


def _class_names(path: Path, names: Any) -> tuple[str, ...]:
    if isinstance(names, Mapping) and all(str(key).isdecimal() for key in names):
        names = [names[key] for key in sorted(names, key=int)]
    if not isinstance(names, list) or not names:
        raise BundleError(f"{path}: its metadata's names {names!r} do not number the classes: export the model again")
    return tuple(map(str, names))


def _check(path: Path, properties: Mapping[str, Any], runtime: Runtime, classes: int) -> None:
    if properties.get("task", "detect") != "detect":
        raise BundleError(f"{path}: its task is {properties['task']!r}; the trap needs a detector")
    shape = runtime.outputs[0].shape
    if properties.get("end2end") or len(runtime.outputs) != 1 or len(shape) != 3 or shape[1] != 4 + classes:
        raise BundleError(
            f"{path}: output shape {shape} is not the decoded head of a {classes}-class detector: "
            "export it with nms=False and end2end=False, or with trap-export"
        )


def _input_spec(path: Path, tensor: TensorInfo) -> InputSpec:
    shape = tensor.shape
    if len(shape) != 4 or shape[0] != 1 or min(shape) < 1 or 3 not in (shape[1], shape[3]):
        raise BundleError(f"{path}: input shape {shape} is not one fixed RGB picture: export it without dynamic=True")
    layout = "NCHW" if shape[1] == 3 else "NHWC"
    height, width = shape[2:] if layout == "NCHW" else shape[1:3]
    return InputSpec.model_validate(
        {
            "name": tensor.name,
            "width": width,
            "height": height,
            "layout": layout,
            "dtype": tensor.dtype,
            "quantisation": tensor.quantisation,
        }
    )


def _head_spec(tensor: TensorInfo, box_unit: str) -> HeadSpec:
    output = OutputSpec(name=tensor.name, role="decoded", quantisation=tensor.quantisation)
    return HeadSpec.model_validate({"kind": "decoded", "outputs": (output,), "box_unit": box_unit})
