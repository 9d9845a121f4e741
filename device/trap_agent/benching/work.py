"""How much a model has to compute: multiply-accumulates of its convolutions and matrix products for one picture."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trap_contract.bundle import bundle_format, openvino_xml

_OPENVINO_DEPTH = {"Convolution": (1, 1), "GroupConvolution": (1, 2), "MatMul": (0, -1)}
"""Which input's shape, from which place on, gives the multiply-accumulates behind one output value."""


def multiply_accumulates(model: Path) -> int | None:
    """Counted in the file's own graph, or None where nothing here can read the graph.

    TFLite needs the schema that ai-edge-litert brings, ONNX and OpenVINO need openvino.
    """
    kind = bundle_format(model)
    try:
        if kind == "tflite":
            return _of_tflite(model.read_bytes())
        return _of_openvino(openvino_xml(model) if kind == "openvino" else model)
    except ImportError:
        return None


def _of_tflite(data: bytes) -> int:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    kinds = schema.BuiltinOperator
    total = 0
    for place in range(graph.OperatorsLength()):
        operator = graph.Operators(place)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code in (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D, kinds.FULLY_CONNECTED):
            out, weights = (_shape(graph, index) for index in (operator.Outputs(0), operator.Inputs(1)))
            inner = weights[1:3] if code == kinds.DEPTHWISE_CONV_2D else weights[1:]
            total += math.prod(out) * math.prod(inner)
    return total


def _shape(graph: Any, index: int) -> Sequence[int]:
    shape: Sequence[int] = graph.Tensors(index).ShapeAsNumpy().tolist()
    return shape


def _of_openvino(file: Path) -> int:
    import openvino

    total = 0
    for node in openvino.Core().read_model(file).get_ops():
        kind = node.get_type_name()
        if kind in _OPENVINO_DEPTH:
            source, first = _OPENVINO_DEPTH[kind]
            total += math.prod(node.get_output_shape(0)) * math.prod(list(node.get_input_shape(source))[first:])
    return total
