"""What can be wrong with a model file whatever it scores: work that its runtime would do slowly or in float."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from trap_contract.manifest import Manifest

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def structure_faults(path: Path, manifest: Manifest) -> list[str]:
    """Each fault in words; empty for a sound file."""
    checks: dict[str, Callable[[Path, Manifest], Iterator[str]]] = {"tflite": _tflite, "onnx": _onnx}
    check = checks.get(manifest.format)
    return list(check(path, manifest)) if check else []


def symmetry_faults(path: Path) -> list[str]:
    """Why TensorRT would not take a QDQ model explicitly: it wants zero points of 0, int8, and float biases."""
    import onnx

    model = onnx.load(str(path))
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    points = [constants[node.input[2]] for node in nodes if len(node.input) > 2]
    shifted = sum(bool(point.any()) for point in points)
    foreign = sum(point.dtype != np.int8 for point in points)
    faults = [f"{shifted} of {len(nodes)} scales are not symmetric"] if shifted else []
    return [*faults, f"{foreign} tensors are quantised to another type than int8"] if foreign else faults


def _tflite(path: Path, manifest: Manifest) -> Iterator[str]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    nodes = interpreter._get_ops_details()  # noqa: SLF001 - there is no public list of operators
    types = {detail["index"]: np.dtype(detail["dtype"]) for detail in interpreter.get_tensor_details()}
    transposes = Counter(node["op_name"] for node in nodes)["TRANSPOSE"]
    convolutions = [node for node in nodes if node["op_name"] in _CONVOLUTIONS]
    if transposes > 1:
        yield f"{transposes} TRANSPOSE operators, at most 1 is sound"
    if outside := _outside_delegates(convolutions, nodes):
        yield f"XNNPACK does not take {outside} of {len(convolutions)} convolutions"
    floats = sum(types[place].kind == "f" for node in convolutions for place in node["inputs"][:1])
    if manifest.precision == "int8" and floats:
        yield f"{floats} of {len(convolutions)} convolutions are float"


def _outside_delegates(convolutions: list[dict[str, Any]], nodes: list[dict[str, Any]]) -> int:
    """How many convolutions no delegate has taken: a delegate lists the weights of those it has."""
    taken = {int(place) for node in nodes if node["op_name"] == "DELEGATE" for place in node["inputs"]}
    return sum(int(node["inputs"][1]) not in taken for node in convolutions)


def _onnx(path: Path, manifest: Manifest) -> Iterator[str]:
    import onnx

    graph = onnx.load(str(path)).graph
    outputs = {output.name for output in graph.output}
    quantised = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    inner = [node for node in graph.node if node.op_type == "Conv" and not outputs & set(node.output)]
    floats = [node.name for node in inner if not quantised.issuperset(node.input[:2])]
    if manifest.precision == "int8" and floats:
        last = len(manifest.head.outputs)
        yield f"{len(floats)} convolutions outside the last {last} are float, the first is {floats[0]}"
