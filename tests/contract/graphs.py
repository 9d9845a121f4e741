"""A tiny real model for tests: each quarter of a 32 px picture is one box, scored by its mean red, green and blue."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from trap_contract.manifest import HeadSpec, InputSpec, Manifest, OutputSpec

SIDE = 32
CLASSES = ("red", "green", "blue")
STOCK = {"names": str(dict(enumerate(CLASSES))), "imgsz": str([SIDE, SIDE]), "stride": "8", "task": "detect"}
"""What Ultralytics writes beside such a model."""


def onnx_graph() -> onnx.ModelProto:
    """The graph: average each quarter, put the constant boxes above the three means."""
    boxes = [[8, 24, 8, 24], [8, 8, 24, 24], [14] * 4, [10] * 4]  # rows: centre x, centre y, width, height
    constants = {"boxes": np.array([boxes], np.float32), "flat": np.array([1, 3, 4], np.int64)}
    nodes = [
        helper.make_node("AveragePool", ["images"], ["means"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Reshape", ["means", "flat"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "quarters",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 7, 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_onnx(file: Path, properties: dict[str, str] | None = None) -> Path:
    """The model as an ONNX file, with these metadata_props."""
    model = onnx_graph()
    helper.set_model_props(model, properties or {})
    onnx.save(model, file)
    return file


def write_openvino(folder: Path) -> Path:
    """The model as an OpenVINO folder."""
    import openvino

    folder.mkdir()
    source = write_onnx(folder.with_suffix(".onnx"))
    openvino.save_model(openvino.convert_model(source), folder / "model.xml", compress_to_fp16=False)
    source.unlink()
    return folder


def make_manifest(kind: str, **changes: Any) -> Manifest:
    """What our own export would say of it."""
    content: dict[str, Any] = {
        "id": "quarters",
        "format": kind,
        "precision": "float32",
        "classes": CLASSES,
        "input": InputSpec(name="images", width=SIDE, height=SIDE, layout="NCHW", dtype="float32"),
        "head": HeadSpec(kind="decoded", outputs=(OutputSpec(name="output0", role="decoded"),)),
        "threshold": 0.5,
    }
    return Manifest.model_validate(content | changes)
