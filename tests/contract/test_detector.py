"""The detector: the right pixels in, boxes in the picture's px out, and bundles that contradict themselves refused."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trap_contract.bundle import embed_manifest
from trap_contract.detector import Detector
from trap_contract.errors import BundleError
from trap_contract.manifest import HeadSpec, InputSpec, OutputSpec, Quantisation
from trap_contract.packing import Packer, pixel_table

from contract.graphs import CLASSES, SIDE, STOCK, make_manifest, write_onnx, write_openvino

MODELS = Path(__file__).resolve().parents[2] / "models"
BGR = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}


def painted(side: int, **quarters: str) -> np.ndarray:
    """A black picture with pure colours in quarters named nw, ne, sw, se."""
    picture = np.zeros((side, side, 3), np.uint8)
    half = side // 2
    for place, colour in quarters.items():
        top, left = half * (place[0] == "s"), half * (place[1] == "e")
        picture[top : top + half, left : left + half] = BGR[colour]
    return picture


def own_bundle(file: Path, **changes: Any) -> Path:
    write_onnx(file)
    embed_manifest(file, make_manifest("onnx", **changes))
    return file


def input_spec(**changes: Any) -> InputSpec:
    return make_manifest("onnx").input.model_copy(update=changes)


def test_boxes_and_classes_are_those_of_the_picture(tmp_path: Path) -> None:
    detector = Detector.load(own_bundle(tmp_path / "m.onnx"))
    found = detector.detect(painted(64, nw="red", se="blue"))
    assert found.classes.tolist() == [0, 2]
    assert found.boxes.tolist() == [[2, 6, 30, 26], [34, 38, 62, 58]]
    assert found.scores.tolist() == pytest.approx([1, 1])


def test_boxes_of_a_wide_picture_are_in_its_own_px(tmp_path: Path) -> None:
    detector = Detector.load(own_bundle(tmp_path / "m.onnx"), threshold=0.4)
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, 32:] = BGR["green"]
    found = detector.detect(picture)  # scale 0.5, 8 px above: the box (17, 3, 31, 13) of the input
    assert found.boxes[found.classes == 1][0].tolist() == [34, 0, 62, 10]


def test_a_stock_export_gives_what_a_bundle_of_ours_gives(tmp_path: Path) -> None:
    own = Detector.load(own_bundle(tmp_path / "own.onnx"))
    stock = Detector.load(write_onnx(tmp_path / "stock.onnx", STOCK), threshold=0.5)
    picture = painted(64, nw="red", ne="green", se="blue")
    assert stock.manifest.stock
    assert stock.manifest.classes == own.manifest.classes == CLASSES
    assert stock.detect(picture).boxes.tolist() == own.detect(picture).boxes.tolist()


def test_onnx_and_openvino_agree(tmp_path: Path) -> None:
    folder = write_openvino(tmp_path / "m_openvino")
    embed_manifest(folder, make_manifest("openvino"))
    picture = painted(96, sw="green", ne="red")
    found = [Detector.load(path).detect(picture) for path in (folder, own_bundle(tmp_path / "m.onnx"))]
    assert found[0].boxes.tolist() == found[1].boxes.tolist()
    assert found[0].classes.tolist() == found[1].classes.tolist()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_board_is_seen_tile_by_tile_by_however_many(tmp_path: Path, threads: int) -> None:
    detector = Detector.load(own_bundle(tmp_path / "m.onnx"), threads, tiled=True)
    board = np.concatenate([painted(32, nw="red"), painted(32, se="blue")], axis=1)
    found = detector.detect_tiled(board, SIDE, overlap=0)
    assert sorted(found.boxes.tolist()) == [[1, 3, 15, 13], [49, 19, 63, 29]]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", ["onnx", "openvino", "tflite"])
def test_pictures_seen_together_give_what_each_gives_alone(tmp_path: Path, kind: str, threads: int) -> None:
    files = {"onnx": "m.onnx", "openvino": "m_openvino", "tflite": "m.tflite"}
    bundle = tmp_path / files[kind]
    if kind == "tflite":
        bundle = MODELS / "yolov8n_kd.tflite"
    elif kind == "onnx":
        own_bundle(bundle)
    else:
        embed_manifest(write_openvino(bundle), make_manifest("openvino"))
    detector = Detector.load(bundle, threads, tiled=True)
    rng = np.random.default_rng(0)
    pictures = [painted(64, nw="red", se="blue"), painted(96, sw="green"), np.zeros((32, 64, 3), np.uint8)]
    pictures += [rng.integers(0, 255, (300, 200, 3), np.uint8)]
    together, alone = detector.detect_many(pictures), [detector.detect(picture) for picture in pictures]
    for one, other in zip(together, alone, strict=True):
        assert one.boxes.tolist() == other.boxes.tolist()
        assert (one.scores.tolist(), one.classes.tolist()) == (other.scores.tolist(), other.classes.tolist())
    assert [len(found) for found in detector.detect_many(pictures[:1])] == [len(alone[0])]
    assert detector.detect_many([]) == []


def test_the_threshold_of_the_caller_wins_over_the_manifest(tmp_path: Path) -> None:
    path = own_bundle(tmp_path / "m.onnx", threshold=0.9)
    dim = (painted(SIDE, nw="red") * 0.6).astype(np.uint8)
    assert len(Detector.load(path).detect(dim)) == 0
    assert len(Detector.load(path, threshold=0.5).detect(dim)) == 1
    assert len(Detector.load(path, threshold=0.0).detect(dim)) == 4


def test_the_same_file_always_has_the_same_digest_and_another_another(tmp_path: Path) -> None:
    path = own_bundle(tmp_path / "m.onnx")
    copy = tmp_path / "renamed.onnx"
    shutil.copyfile(path, copy)
    other = own_bundle(tmp_path / "other.onnx", threshold=0.2)
    assert Detector.load(path).sha256 == Detector.load(copy).sha256 != Detector.load(other).sha256


def test_a_float_input_has_pixels_from_0_to_1() -> None:
    table = pixel_table(input_spec())
    assert table.dtype == np.float32
    assert table.tolist() == (np.arange(256, dtype=np.float32) / 255).tolist()


@pytest.mark.parametrize(("dtype", "zero_point", "low", "high"), [("int8", -128, -128, 127), ("uint8", 0, 0, 255)])
def test_the_usual_int8_input_takes_each_pixel_value_to_its_own_step(
    dtype: str, zero_point: int, low: int, high: int
) -> None:
    table = pixel_table(input_spec(dtype=dtype, quantisation=Quantisation(scale=1 / 255, zero_point=zero_point)))
    assert table.dtype == dtype
    assert table.tolist() == list(range(low, high + 1))


def test_a_pixel_beyond_an_int8_input_s_range_is_clipped() -> None:
    table = pixel_table(input_spec(dtype="int8", quantisation=Quantisation(scale=1 / 300, zero_point=-128)))
    assert (table[0], table[100], table[-1]) == (-128, round(100 / 255 * 300) - 128, 127)


@pytest.mark.parametrize(("layout", "place"), [("NHWC", (0, 1, 2, slice(None))), ("NCHW", (0, slice(None), 1, 2))])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8"])
def test_the_tensor_is_rgb_in_the_layout_and_type_asked_for(layout: str, place: tuple[Any, ...], dtype: str) -> None:
    scale = {"int8": Quantisation(scale=1 / 255, zero_point=-128), "uint8": Quantisation(scale=1 / 255, zero_point=0)}
    spec = input_spec(layout=layout, dtype=dtype, quantisation=scale.get(dtype))
    canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
    canvas[1, 2] = (10, 20, 30)
    table, tensor = pixel_table(spec), Packer(spec).pack(canvas)
    assert (tensor.shape, tensor.dtype) == (spec.shape, np.dtype(dtype))
    assert tensor.flags.c_contiguous
    assert tensor[place].tolist() == table[[30, 20, 10]].astype(dtype).tolist()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"input": input_spec(width=64)}, r"expects input \(1, 3, 32, 64\) float32, the model has \(1, 3, 32, 32\)"),
        ({"input": input_spec(layout="NHWC")}, r"expects input \(1, 32, 32, 3\)"),
        ({"input": input_spec(dtype="uint8")}, "expects input .* uint8"),
        (
            {"head": HeadSpec(kind="decoded", outputs=(OutputSpec(name="boxes", role="decoded"),))},
            r"names output 'boxes', the model has \['output0'\]",
        ),
        (
            {
                "head": HeadSpec(
                    kind="decoded",
                    outputs=(
                        OutputSpec(name="output0", role="decoded", quantisation=Quantisation(scale=1, zero_point=0)),
                    ),
                )
            },
            "disagree on the scale of output 'output0'",
        ),
    ],
)
def test_a_bundle_that_contradicts_its_model_is_refused(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    path = own_bundle(tmp_path / "m.onnx", **change)
    with pytest.raises(BundleError, match=complaint) as caught:
        Detector.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"names": "{0: 'red'}"}, "not the decoded head of a 1-class detector"),
        ({"task": "segment"}, "its task is 'segment'; the trap needs a detector"),
        ({"end2end": "True"}, "export it with nms=False and end2end=False"),
        ({"names": "7"}, "names"),
        ({"names": "{'a': 'red', 'b': 'green', 'c': 'blue'}"}, "names"),
    ],
)
def test_a_stock_export_that_is_no_plain_detector_is_refused(
    tmp_path: Path, change: dict[str, str], complaint: str
) -> None:
    path = write_onnx(tmp_path / "stock.onnx", STOCK | change)
    with pytest.raises(BundleError, match=complaint) as caught:
        Detector.load(path)
    assert str(path) in str(caught.value)
