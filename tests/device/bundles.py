"""A tiny real bundle for tests: it sees one insect in every quadrant of a picture that is painted in a pure colour."""

from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from trap_contract.bundle import embed_manifest
from trap_contract.manifest import HeadSpec, InputSpec, Manifest, OutputSpec

CLASSES = ("Female", "Male", "Incomplete", "Out of Focus", "Undefined")
SIDE = 64
COLOURS = {"Female": (0, 0, 255), "Male": (0, 255, 0), "Undefined": (255, 0, 0)}
"""BGR: the mean red of a quadrant is its Female score, green Male, blue Undefined."""


def write_bundle(path: Path) -> Path:
    """Write the bundle, an ONNX file with a decoded head, and return its path."""
    half = SIDE // 2
    centres = [(half / 2 + half * (place % 2), half / 2 + half * (place // 2)) for place in range(4)]
    boxes = np.array([[(x, y, half - 4, half - 4) for x, y in centres]], np.float32).transpose(0, 2, 1)
    constants = {
        "boxes": boxes,
        "none": np.zeros((1, 2, 4), np.float32),
        "flat": np.array([1, 3, 4], np.int64),
    }
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[half, half], strides=[half, half]),
        helper.make_node("Reshape", ["pooled", "flat"], ["rgb"]),
        helper.make_node("Split", ["rgb"], ["red", "green", "blue"], axis=1, num_outputs=3),
        helper.make_node("Concat", ["boxes", "red", "green", "none", "blue"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "quadrants",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 9, 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    embed_manifest(path, _manifest())
    return path


def paint(*quadrants: str | None) -> NDArray[np.uint8]:
    """A BGR picture with these classes, at most four, in its quadrants; None leaves one empty: grey, not dark."""
    pixels = np.full((SIDE, SIDE, 3), 12, np.uint8)
    half = SIDE // 2
    for place, name in enumerate(quadrants):
        if name is not None:
            top, left = half * (place // 2), half * (place % 2)
            pixels[top : top + half, left : left + half] = COLOURS[name]
    return pixels


def save_pictures(folder: Path, count: int, *quadrants: str | None) -> Path:
    """A folder of `count` equal pictures, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:05}.png"), paint(*quadrants))
    return folder


def _manifest() -> Manifest:
    return Manifest(
        id="quadrants",
        format="onnx",
        precision="float32",
        classes=CLASSES,
        input=InputSpec(name="images", width=SIDE, height=SIDE, layout="NCHW", dtype="float32"),
        head=HeadSpec(kind="decoded", outputs=(OutputSpec(name="output0", role="decoded"),)),
        threshold=0.5,
    )
