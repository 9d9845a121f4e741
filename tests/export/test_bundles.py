"""Bundles made from a real student: each opens on the trap, and sees what the student sees."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discs import CLASSES
from pupil import SIDE
from trap_contract.bundle import bundle_digest, read_manifest
from trap_contract.decode import DecodeSettings
from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.errors import BundleError
from trap_contract.golden import check_golden
from trap_contract.pictures import read_picture
from trap_contract.suppression import iou_matrix
from trap_export.building import GOLDEN, TOOLS, Plan, build

from export.conftest import FORMATS

NAMES = [*(f"{kind}-{precision}" for kind in FORMATS for precision in ("float32", "int8")), "openvino-float16"]
LIKE_PREDICT = DecodeSettings(threshold=0.25, iou=0.5)


def ultralytics_boxes(model: Path, picture: np.ndarray) -> Detections:
    """What Ultralytics' own predictor finds, with its own decoding and suppression."""
    from ultralytics import YOLO

    settings = {"conf": LIKE_PREDICT.threshold, "iou": LIKE_PREDICT.iou, "agnostic_nms": True, "rect": False}
    (result,) = YOLO(str(model), task="detect").predict(picture, imgsz=SIDE, verbose=False, device="cpu", **settings)
    found = result.boxes
    return Detections(found.xyxy.numpy(), found.conf.numpy(), found.cls.numpy().astype(np.int64))


def assert_same(found: Detections, expected: Detections) -> None:
    """Same insects, boxes within a hundredth of a px; the order of equal scores is free."""
    assert len(found) == len(expected)
    if not len(expected):
        return
    pairs = iou_matrix(found.boxes, expected.boxes).argmax(axis=1)
    assert sorted(pairs) == list(range(len(expected)))
    assert np.abs(found.boxes - expected.boxes[pairs]).max() < 1e-2
    assert np.abs(found.scores - expected.scores[pairs]).max() < 1e-3
    assert found.classes.tolist() == expected.classes[pairs].tolist()


def test_the_student_finds_most_discs(bundles: dict[str, Path]) -> None:
    manifest = read_manifest(bundles["tflite-float32"])
    assert manifest is not None
    assert manifest.metrics is not None
    assert manifest.metrics.map50 > 0.3  # a student that finds nothing would agree with anything


def test_a_build_leaves_its_bundles_and_reports(bundles: dict[str, Path], plan: Plan) -> None:
    expected = {path.name for path in bundles.values()} | {"report.json", "report.md", "report.html"}
    assert set(bundles) == set(NAMES)
    assert {path.name for path in plan.out.iterdir()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_opens_in_the_trap_s_detector(bundles: dict[str, Path], name: str) -> None:
    detector = Detector.load(bundles[name])
    assert (detector.manifest.format, detector.manifest.precision) == tuple(name.split("-"))
    assert detector.manifest.classes == CLASSES
    assert detector.manifest.head.kind == "split"
    assert detector.manifest.head.strides == (8, 16)
    assert not detector.manifest.stock


@pytest.mark.parametrize("name", NAMES)
def test_a_bundle_carries_golden_pictures_and_finds_in_them_what_it_says(bundles: dict[str, Path], name: str) -> None:
    detector = Detector.load(bundles[name])
    assert check_golden(detector, name) == GOLDEN
    assert all(picture.found for picture in detector.manifest.golden)


def test_golden_pictures_refuse_what_no_longer_finds_their_insects(bundles: dict[str, Path]) -> None:
    stranger = Detector.load(bundles["onnx-float32"])
    blind = replace(stranger.settings, threshold=0.99)
    with pytest.raises(BundleError, match=r"golden picture 1 of 3: \d+ insects expected, 0 found"):
        check_golden(stranger.with_settings(blind), "x.onnx")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_float_bundle_finds_what_ultralytics_finds(
    bundles: dict[str, Path], student: Path, pictures: list[np.ndarray], kind: str
) -> None:
    detector = Detector.load(bundles[f"{kind}-float32"]).with_settings(LIKE_PREDICT)
    total = 0
    for picture in pictures:
        expected = ultralytics_boxes(student, picture)
        assert_same(detector.detect(picture), expected)
        total += len(expected)
    assert total >= len(pictures) // 2


@pytest.mark.parametrize("kind", FORMATS)
def test_an_int8_bundle_loses_little(bundles: dict[str, Path], kind: str) -> None:
    manifest = read_manifest(bundles[f"{kind}-int8"])
    assert manifest is not None
    assert manifest.metrics is not None
    assert manifest.metrics_float is not None
    assert manifest.metrics.map50 > manifest.metrics_float.map50 - 0.1


@pytest.mark.parametrize("kind", FORMATS)
def test_the_surest_find_is_nearly_as_sure_in_int8(bundles: dict[str, Path], plan: Plan, kind: str) -> None:
    whole, small = (Detector.load(bundles[f"{kind}-{precision}"]) for precision in ("float32", "int8"))
    pictures = [read_picture(path) for path in plan.data.pictures("train")]
    surest = [
        max(float(detector.detect(picture).scores.max(initial=0)) for picture in pictures)
        for detector in (whole, small)
    ]
    assert abs(surest[1] - surest[0]) < 0.15  # a range that is cut off ends at 0.5


def test_an_int8_tflite_takes_and_gives_int8(bundles: dict[str, Path]) -> None:
    detector = Detector.load(bundles["tflite-int8"])
    assert detector.manifest.input.dtype == "int8"
    assert {tensor.dtype for tensor in detector.runtime.outputs} == {"int8"}
    assert all(output.quantisation for output in detector.manifest.head.outputs)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_int8_bundle_is_far_smaller(bundles: dict[str, Path], kind: str) -> None:
    def size(path: Path) -> int:
        return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size

    assert size(bundles[f"{kind}-int8"]) < 0.5 * size(bundles[f"{kind}-float32"])


def test_a_float16_folder_is_half_the_size(bundles: dict[str, Path]) -> None:
    half, whole = ((bundles[f"openvino-{kind}"] / "model.bin").stat().st_size for kind in ("float16", "float32"))
    assert half < 0.55 * whole


def test_the_same_weights_data_and_versions_make_the_same_bytes(
    bundles: dict[str, Path], plan: Plan, tmp_path: Path
) -> None:
    again = {bundle.path.name: bundle.sha256 for bundle in build(replace(plan, out=tmp_path), lambda _: None)}
    assert again == {path.name: bundle_digest(path) for path in bundles.values()}


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_says_where_the_weights_come_from(bundles: dict[str, Path], plan: Plan, name: str) -> None:
    manifest = read_manifest(bundles[name])
    assert manifest is not None
    known = manifest.provenance
    assert (known.dataset, known.seed) == ("discs", 0)
    assert known.dataset_digest == plan.data.digest("train")
    assert set(known.tools) == set(TOOLS)
    assert (known.calibration_digest is not None) == name.endswith("int8")


def test_all_bundles_recommend_the_same_threshold_and_name_the_same_reference(bundles: dict[str, Path]) -> None:
    manifests = [manifest for path in bundles.values() if (manifest := read_manifest(path))]
    assert len({manifest.threshold for manifest in manifests}) == 1
    assert len({manifest.provenance.calibration_digest for manifest in manifests}) == 2
    references = {manifest.model_dump_json(include={"metrics_float"}) for manifest in manifests}
    assert len(references) == 1
    assert manifests[0].metrics_float is not None
    assert manifests[0].metrics is not None
    assert manifests[0].metrics.map50_95 == pytest.approx(manifests[0].metrics_float.map50_95, abs=1e-3)


def test_the_report_repeats_what_the_bundles_say(bundles: dict[str, Path], plan: Plan) -> None:
    report: dict[str, Any] = json.loads((plan.out / "report.json").read_text())
    assert list(report) == [path.name for path in bundles.values()]
    for path in bundles.values():
        manifest = read_manifest(path)
        assert manifest is not None
        assert manifest.metrics is not None
        assert report[path.name]["sha256"] == bundle_digest(path)
        assert report[path.name]["precision"] == manifest.precision
        assert report[path.name]["metrics"]["map50"] == manifest.metrics.map50
        assert report[path.name]["quantisation"] == manifest.provenance.quantisation


@pytest.mark.parametrize("name", NAMES)
def test_the_confusion_matrix_accounts_for_every_disc(bundles: dict[str, Path], plan: Plan, name: str) -> None:
    from trap_contract.dataset import read_labels

    manifest = read_manifest(bundles[name])
    assert manifest is not None
    assert manifest.metrics is not None
    matrix = np.array(manifest.metrics.confusion)
    labels = np.concatenate([read_labels(picture).classes for picture in plan.data.pictures("val")])
    assert matrix.shape == (6, 6)
    assert matrix.sum(axis=1)[:5].tolist() == np.bincount(labels, minlength=5).tolist()
    assert matrix[5, 5] == 0


def test_average_precision_is_that_of_ultralytics_own_validator(
    bundles: dict[str, Path], student: Path, discs: Path, tmp_path: Path
) -> None:
    from ultralytics import YOLO

    place = {"project": str(tmp_path), "plots": False, "verbose": False, "workers": 0, "device": "cpu"}
    theirs = YOLO(str(student)).val(data=str(discs), imgsz=SIDE, rect=False, **place).box
    manifest = read_manifest(bundles["tflite-float32"])
    assert manifest is not None
    ours = manifest.metrics
    assert ours is not None
    assert ours.map50 == pytest.approx(theirs.map50, abs=0.003)
    assert ours.map50_95 == pytest.approx(theirs.map, abs=0.003)
    for row, name in enumerate(theirs.ap_class_index):
        assert ours.classes[CLASSES[name]].map50_95 == pytest.approx(theirs.ap[row], abs=0.01)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_stock_export_gives_the_boxes_that_ultralytics_gives(
    stock: dict[str, Path], pictures: list[np.ndarray], kind: str
) -> None:
    detector = Detector.load(stock[kind]).with_settings(LIKE_PREDICT)
    assert detector.manifest.stock
    assert detector.manifest.classes == CLASSES
    total = 0
    for picture in pictures:
        expected = ultralytics_boxes(stock[kind], picture)
        assert_same(detector.detect(picture), expected)
        total += len(expected)
    assert total >= len(pictures) // 2
