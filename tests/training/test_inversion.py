"""Pictures out of a teacher: its loss falls, its statistics come nearer, and it finds what was put there."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from discs import CLASSES
from pupil import SIDE
from trap_contract.dataset import DataSet, read_labels
from trap_contract.errors import ConfigError, DataError
from trap_contract.suppression import iou_matrix
from trap_training.inversion import Inversion, Kind, Progress, invert

KINDS = tuple(Kind(1, 0.22, 0.22) for _ in CLASSES)


@dataclass(frozen=True)
class Made:
    """A finished inversion."""

    wanted: Inversion
    folder: Path
    progress: list[Progress]

    @classmethod
    def of(cls, wanted: Inversion, folder: Path) -> "Made":
        torch.set_num_threads(1)  # Ultralytics sets the process's number anew whenever it predicts
        return cls(wanted, folder, list(invert(wanted, folder)))

    @property
    def data(self) -> DataSet:
        return DataSet.load(self.folder / "data.yaml")

    @property
    def report(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "inversion.json").read_text())
        return content

    @property
    def pictures(self) -> list[Path]:
        return self.data.pictures("train")


@pytest.fixture(scope="module")
def made(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """From noise, all classes alike."""
    wanted = Inversion(student, KINDS, imgsz=SIDE, pictures=6, steps=150, seed=1)
    return Made.of(wanted, tmp_path_factory.mktemp("noise"))


@pytest.fixture(scope="module")
def from_board(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """From one blue board, males alone, by a teacher that learnt at another size."""
    folder = tmp_path_factory.mktemp("board")
    board, teacher = folder / "board.png", folder / "teacher.pt"
    cv2.imwrite(str(board), np.full((SIDE, SIDE, 3), (230, 128, 60), np.uint8))
    content = torch.load(made.wanted.teacher, weights_only=False)
    torch.save(content | {"train_args": {"imgsz": 2 * SIDE}}, teacher)
    kinds = tuple(Kind(float(name == "Male"), 0.22, 0.22) for name in CLASSES)
    wanted = replace(made.wanted, teacher=teacher, kinds=kinds, starts=(board,), pictures=4, steps=40)
    return Made.of(wanted, folder / "out")


def test_the_teachers_loss_falls_and_its_statistics_come_nearer(made: Made):
    assert len(made.progress) == made.wanted.steps
    assert made.progress[-1].loss < 0.75 * max(step.loss for step in made.progress[:30])
    assert made.progress[-1].statistics < made.progress[0].statistics / 5


def test_only_boxes_that_the_teacher_confirms_are_kept(made: Made):
    labels = [read_labels(picture) for picture in made.pictures]
    assert made.data.names == CLASSES
    assert all(map(len, labels))
    assert sum(map(len, labels)) == made.report["boxes"]["kept"]
    assert made.report["boxes"]["kept"] >= 2
    assert made.report["boxes"]["drawn"] >= made.wanted.pictures


def test_the_teacher_finds_each_box_in_the_written_picture(made: Made):
    from ultralytics import YOLO

    teacher = YOLO(str(made.wanted.teacher))
    for picture in made.pictures:
        found = teacher.predict(picture, imgsz=SIDE, conf=0.40, verbose=False)[0].boxes
        label = read_labels(picture)
        overlaps = iou_matrix(label.corners(SIDE, SIDE).astype(np.float32), found.xyxy.numpy())
        assert ((overlaps >= 0.5) & (label.classes[:, None] == found.cls.numpy())).any(axis=1).all()


def test_the_same_seed_gives_the_same_bytes(made: Made, tmp_path: Path):
    again = Made.of(made.wanted, tmp_path)
    assert again.data.digest("train") == made.data.digest("train")
    assert again.report == made.report


def test_pictures_can_begin_as_boards(from_board: Made, tmp_path: Path):
    def blueness(pictures: list[Path]) -> float:
        blue, _, red = np.mean([cv2.imread(str(picture)).mean(axis=(0, 1)) for picture in pictures], axis=0)
        return float(blue - red)

    from_noise = Made.of(replace(from_board.wanted, starts=()), tmp_path)
    assert blueness(from_board.pictures) > blueness(from_noise.pictures) + 20


def test_a_class_of_no_weight_is_never_drawn(from_board: Made):
    names = {int(name) for picture in from_board.pictures for name in read_labels(picture).classes}
    assert names == {CLASSES.index("Male")}


def test_a_size_the_teacher_never_saw_is_a_warning(made: Made, from_board: Made):
    assert made.report["warnings"] == []
    assert from_board.report["warnings"] == ["the teacher learnt at 128 px, not 64"]


def test_a_teacher_that_confirms_nothing_is_told(made: Made, tmp_path: Path):
    with pytest.raises(DataError, match="confirms none of"):
        list(invert(replace(made.wanted, steps=0, pictures=2), tmp_path))


def test_kinds_that_are_not_the_teachers_classes_are_refused(made: Made, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"has classes .* and 2 kinds"):
        list(invert(replace(made.wanted, kinds=KINDS[:2]), tmp_path))


def test_what_is_no_detector_is_refused(made: Made, quiet: None, tmp_path: Path):
    from ultralytics import YOLO

    (tmp_path / "broken.pt").write_bytes(b"no network")
    with pytest.raises(DataError, match="not a network"):
        list(invert(replace(made.wanted, teacher=tmp_path / "broken.pt"), tmp_path / "out"))
    classifier = YOLO("yolov8n-cls.yaml", task="classify")
    classifier.ckpt = {}
    classifier.save(str(tmp_path / "classifier.pt"))
    with pytest.raises(DataError, match="no detector"):
        list(invert(replace(made.wanted, teacher=tmp_path / "classifier.pt"), tmp_path / "out"))
    assert not (tmp_path / "out").exists()
