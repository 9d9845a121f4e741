"""The bundles of the tiny student, built once."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from discs import draw_discs
from pupil import SIDE
from trap_contract.dataset import DataSet
from trap_contract.manifest import Provenance
from trap_export import building
from trap_export.building import Plan, build
from trap_export.gate import Limits

FORMATS = ("tflite", "onnx", "openvino")
LENIENT = Limits(0.1, 0.25)
"""24 small pictures make a coarse ruler: one disc found or lost moves a class's AP50 by several hundredths."""


@pytest.fixture(scope="session")
def plan(student: Path, discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """How the bundles are built: square input, calibrated on 32 of the 48 train pictures."""
    known = Provenance(dataset="discs", teacher="none", seed=0)
    out = tmp_path_factory.mktemp("bundles")
    return Plan(student, DataSet.load(discs), out, "pupil", SIDE, SIDE, 32, known, limits=LENIENT, rounds=5)


@pytest.fixture(scope="session")
def bundles(plan: Plan) -> dict[str, Path]:
    """Bundles of the student by format and precision, such as tflite-int8."""
    built = build(plan, lambda _: None)
    kinds = [target for target in FORMATS for _ in building.FORMATS[target].precisions]
    return {f"{kind}-{bundle.precision}": bundle.path for kind, bundle in zip(kinds, built, strict=True)}


@pytest.fixture(scope="session")
def stock(student: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ultralytics' own exports of the student, by format."""
    from ultralytics import YOLO

    folder = tmp_path_factory.mktemp("stock")
    shutil.copyfile(student, folder / "pupil.pt")
    arguments = {"tflite": "litert", "onnx": "onnx", "openvino": "openvino"}
    model = str(folder / "pupil.pt")
    return {kind: Path(YOLO(model).export(format=name, imgsz=SIDE)) for kind, name in arguments.items()}


@pytest.fixture(scope="session")
def pictures(discs: Path) -> list[np.ndarray]:
    """Val pictures, one of them turned upright, and one the student has not learnt."""
    known = [np.asarray(cv2.imread(str(picture)), np.uint8) for picture in DataSet.load(discs).pictures("val")[:6]]
    return [*known, np.ascontiguousarray(np.rot90(known[0])), draw_discs(np.random.default_rng(99))[0]]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
