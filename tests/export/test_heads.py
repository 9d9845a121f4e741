"""Every head that is promised: its raw maps, decoded by the trap, are the boxes Ultralytics decodes."""

import types
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from trap_contract.bundle import embed_manifest
from trap_contract.decode import DecodeSettings, decode
from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.manifest import HeadSpec, Manifest
from trap_contract.packing import Packer
from trap_export import jetson, onnx, tflite
from trap_export.calibration import Calibration
from trap_export.network import load_network
from trap_export.reference import reference_detector
from trap_export.structure import structure_faults

pytestmark = pytest.mark.usefixtures("quiet")
BODIES = {
    "v8": ("", "C2f, [16, True]", "SPPF, [32, 5]", True),
    "v5u": ("", "C3, [16, True]", "SPPF, [32, 5]", True),
    "11": ("", "C3k2, [16, True]", "C2PSA, [128]", False),
    "26": ("end2end: True\nreg_max: 1\n", "C3k2, [16, True]", "C2PSA, [128]", False),
}
EVERY = DecodeSettings(threshold=0.0, iou=1.0, every_class=True, limit=50)


def checkpoint(
    folder: Path, kind: str, classes: int, activation: str = "torch.nn.SiLU()", head: str = "Detect"
) -> Path:
    """An untrained checkpoint with the head of a family; its biases are drawn, so that no two scores are equal."""
    from ultralytics import YOLO

    options, block, neck, legacy = BODIES[kind]
    (folder / "net.yaml").write_text(
        f"nc: {classes}\nactivation: {activation}\n{options}"
        "backbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, Conv, [16, 3, 2]]\n  - [-1, 1, Conv, [16, 3, 2]]\n"
        f"  - [-1, 1, {block}]\n  - [-1, 1, Conv, [128, 3, 2]]\n  - [-1, 1, {neck}]\n"
        f"head:\n  - [[3, 5], 1, {head}, [nc]]\n"
    )
    torch.manual_seed(1)
    model = YOLO(str(folder / "net.yaml"), task="detect")
    for name, parameter in model.model.model[-1].named_parameters():
        if name.endswith("2.bias"):
            torch.nn.init.uniform_(parameter, -2, 2)
    assert model.model.model[-1].legacy is legacy
    model.ckpt = {}
    model.save(str(folder / f"{kind}.pt"))
    return folder / f"{kind}.pt"


def their_boxes(weights: Path, picture: torch.Tensor) -> Detections:
    """What Ultralytics' head decodes, before suppression, one box an anchor and class."""
    from ultralytics import YOLO

    model = YOLO(str(weights)).model.float()
    head = model.model[-1]
    head.end2end = False
    with torch.inference_mode():
        (found,) = model.fuse(verbose=False).eval()(picture)[0].numpy()
    centres, halves, scores = found[:2].T, found[2:4].T / 2, found[4:].T
    anchors, classes = np.nonzero(scores >= 0)
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    return Detections(boxes[anchors], scores[anchors, classes], classes)


def manifest(weights: Path, width: int, height: int) -> tuple[Manifest, Detector]:
    network = load_network(weights, width, height)
    spec, head = onnx.describe(network, weights)
    made = Manifest(
        id="x", format="onnx", precision="float32", classes=network.classes, input=spec, head=head, threshold=0.5
    )
    return made, reference_detector(network, made)


@pytest.mark.parametrize(
    ("kind", "classes", "size", "activation"),
    [
        ("v8", 1, (160, 160), "torch.nn.SiLU()"),
        ("v8", 80, (96, 64), "torch.nn.ReLU()"),
        ("v5u", 3, (64, 96), "torch.nn.ReLU()"),
        ("11", 5, (96, 64), "torch.nn.SiLU()"),
        ("26", 80, (96, 64), "torch.nn.SiLU()"),
        ("26", 1, (64, 64), "torch.nn.ReLU()"),
    ],
)
def test_raw_maps_decode_to_what_ultralytics_decodes(
    tmp_path: Path, kind: str, classes: int, size: tuple[int, int], activation: str
) -> None:
    width, height = size
    weights = checkpoint(tmp_path, kind, classes, activation)
    made, detector = manifest(weights, width, height)
    assert made.head.reg_max == (1 if kind == "26" else 16)
    canvas = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    tensor = Packer(made.input).pack(canvas)
    outputs = detector.infer(tensor)
    shapes = {tuple(output.shape[2:]) for output in outputs}
    assert shapes == {(height // stride, width // stride) for stride in made.head.strides}
    ours, theirs = decode(outputs, made.head, made.input, EVERY), their_boxes(weights, torch.from_numpy(tensor))
    assert len(ours) == 50
    assert np.abs(ours.scores - np.sort(theirs.scores)[::-1][:50]).max() < 1e-4
    rows, known = (np.column_stack([one.boxes, 100 * one.scores, 1000 * one.classes]) for one in (ours, theirs))
    assert np.abs(rows[:, None] - known[None]).max(axis=2).min(axis=1).max() < 1e-2


@pytest.fixture(scope="module")
def attentive(quiet: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """TFLite files of a network with attention, on an input that is not square."""
    folder = tmp_path_factory.mktemp("attentive")
    files = {"weights": checkpoint(folder, "11", 3), "float32": folder / "f.tflite", "int8": folder / "i.tflite"}
    network = load_network(files["weights"], 96, 64)
    noise = np.random.default_rng(0).random((4, 64, 96, 3), np.float32)
    tflite.write_float(network, files["float32"])
    tflite.write_int8(network, files["float32"], Calibration(noise, "0" * 64), tflite.VARIANTS[0], files["int8"])
    return files


@pytest.mark.parametrize(("is_fused", "expected"), [(False, 1.0), (True, -1.0)])
def test_of_a_26_head_the_one_to_many_branch_is_taken_where_it_is_left(
    tmp_path: Path, is_fused: bool, expected: float
) -> None:
    from ultralytics import YOLO

    model = YOLO(str(checkpoint(tmp_path, "26", 2)))
    head = model.model.model[-1]
    for branch, value in ((head.cv3, 1.0), (head.one2one_cv3, -1.0)):
        for level in branch:
            torch.nn.init.zeros_(level[2].weight)
            torch.nn.init.constant_(level[2].bias, value)
    if is_fused:
        head.end2end = True
        head.fuse()
    model.ckpt = {}
    model.save(str(tmp_path / "marked.pt"))
    network = load_network(tmp_path / "marked.pt", 64, 64)
    assert network.module(network.example())[1].unique().tolist() == [expected]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_attention_leaves_no_transpose_and_no_float_in_a_tflite_file(
    attentive: dict[str, Path], precision: str
) -> None:
    file = attentive[precision]
    spec, head = tflite.describe(load_network(attentive["weights"], 96, 64), file)
    made = Manifest.model_validate(
        {"id": "x", "format": "tflite", "precision": precision, "threshold": 0.5, "input": spec}
        | {"head": head, "classes": tuple("abc")}
    )
    embed_manifest(file, made)
    assert structure_faults(file, made) == []
    assert Detector.load(file).manifest.input.shape == (1, 64, 96, 3)


@pytest.mark.parametrize("kind", ["v8", "v5u"])
def test_nothing_is_quantised_twice_in_a_tflite_file(kind: str, tmp_path: Path) -> None:
    network = load_network(checkpoint(tmp_path, kind, 2), 64, 64)
    tflite.write_float(network, tmp_path / "float.tflite")
    noise = np.random.default_rng(0).random((4, 64, 64, 3), np.float32)
    tflite.write_int8(network, tmp_path / "float.tflite", Calibration(noise, ""), tflite.VARIANTS[0], tmp_path / "int8")
    nodes = Interpreter(str(tmp_path / "int8"), num_threads=1)._get_ops_details()
    assert [node["op_name"] for node in nodes].count("QUANTIZE") == 0


def test_tensors_of_a_group_get_one_range_that_covers_each_and_others_keep_theirs() -> None:
    ranges = {
        name: {"min": np.float32(low), "max": np.float32(high)}
        for name, low, high in (("a", -1, 2), ("b", -3, 1), ("c", -9, 9))
    }
    found = tflite.tied(ranges, [["a", "b"]])
    assert {name: (one["min"], one["max"]) for name, one in found.items()} == {"a": (-3, 2), "b": (-3, 2), "c": (-9, 9)}


def test_one_bin_is_the_distance_itself() -> None:
    head = HeadSpec.model_validate(
        {
            "kind": "split",
            "reg_max": 1,
            "outputs": [{"name": "b", "role": "box", "stride": 8}, {"name": "c", "role": "cls", "stride": 8}],
        }
    )
    box = np.float32([1.0, 0.25, 0.5, 2.0]).reshape(1, 4, 1, 1)
    spec = types.SimpleNamespace(width=8, height=8)
    found = decode([box, np.full((1, 1, 1, 1), 9.0, np.float32)], head, spec, DecodeSettings(0.5))  # type: ignore[arg-type]
    assert found.boxes.tolist() == [[(0.5 - 1) * 8, (0.5 - 0.25) * 8, (0.5 + 0.5) * 8, (0.5 + 2) * 8]]


def test_jetson_and_onnx_describe_the_same_tensors(tmp_path: Path) -> None:
    network = load_network(checkpoint(tmp_path, "v8", 2), 64, 64)
    assert jetson.describe(network, tmp_path) == onnx.describe(network, tmp_path)
