"""Pictures out of a teacher: its loss falls, its statistics come nearer, and it finds what was put there."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from discs import CLASSES
from pupil import SIDE
from trap_contract.dataset import DataSet, read_labels
from trap_contract.errors import ConfigError, DataError
from trap_training.inversion import Inversion, Kind, Progress, invert

KINDS = tuple(Kind(1, 0.22, 0.22) for _ in CLASSES)


@dataclass(frozen=True)
class Made:
    """A finished inversion."""

    wanted: Inversion
    folder: Path
    progress: list[Progress]

    @property
    def data(self) -> DataSet:
        return DataSet.load(self.folder / "data.yaml")


@pytest.fixture(scope="module")
def made(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("inverted")
    wanted = Inversion(student, KINDS, imgsz=SIDE, pictures=6, steps=60, seed=1)
    return Made(wanted, folder, list(invert(wanted, folder)))


def test_the_teachers_loss_falls_and_its_statistics_come_nearer(made: Made):
    assert len(made.progress) == made.wanted.steps
    assert made.progress[-1].loss < made.progress[0].loss / 2
    assert made.progress[-1].statistics < made.progress[0].statistics / 2


def test_the_data_set_loads_and_its_boxes_are_the_teachers(made: Made):
    assert made.data.names == CLASSES
    pictures = made.data.pictures("train")
    kept = sum(len(read_labels(picture)) for picture in pictures)
    boxes = json.loads((made.folder / "inversion.json").read_text())["boxes"]
    assert kept == boxes["kept"]
    assert kept >= boxes["drawn"] / 3
    assert all(len(read_labels(picture)) for picture in pictures)


def test_the_teacher_finds_each_box_in_the_written_picture(made: Made):
    from ultralytics import YOLO

    teacher = YOLO(str(made.wanted.teacher))
    for picture in made.data.pictures("train"):
        found = teacher.predict(picture, imgsz=SIDE, conf=0.40, verbose=False)[0].boxes
        assert set(read_labels(picture).classes) <= {int(name) for name in found.cls}


def test_the_same_seed_gives_the_same_bytes_and_another_others(made: Made, tmp_path: Path):
    few = replace(made.wanted, pictures=2, steps=25)
    digests = []
    for number, seed in enumerate((1, 1, 2)):
        list(invert(replace(few, seed=seed), tmp_path / str(number)))
        digests.append(DataSet.load(tmp_path / str(number) / "data.yaml").digest("train"))
    assert digests[0] == digests[1] != digests[2]


def test_pictures_can_begin_as_boards(made: Made, tmp_path: Path):
    board = tmp_path / "board.png"
    cv2.imwrite(str(board), np.full((72, 96, 3), (200, 120, 40), np.uint8))
    list(invert(replace(made.wanted, pictures=4, steps=25, starts=(board,)), tmp_path / "out"))
    pictures = DataSet.load(tmp_path / "out" / "data.yaml").pictures("train")
    blue, _, red = np.mean([cv2.imread(str(picture)).mean(axis=(0, 1)) for picture in pictures], axis=0)
    assert blue > red + 30


def test_a_class_of_no_weight_is_never_drawn(made: Made, tmp_path: Path):
    kinds = tuple(Kind(float(name == "Male"), 0.22, 0.22) for name in CLASSES)
    list(invert(replace(made.wanted, kinds=kinds, steps=25), tmp_path))
    pictures = DataSet.load(tmp_path / "data.yaml").pictures("train")
    assert {int(name) for picture in pictures for name in read_labels(picture).classes} == {CLASSES.index("Male")}


def test_a_teacher_that_confirms_nothing_is_told(made: Made, tmp_path: Path):
    with pytest.raises(DataError, match="confirms none of"):
        list(invert(replace(made.wanted, steps=0, pictures=2), tmp_path))


def test_kinds_that_are_not_the_teachers_classes_are_refused(made: Made, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"has classes .* and 2 kinds"):
        list(invert(replace(made.wanted, kinds=KINDS[:2]), tmp_path))


def test_a_size_the_teacher_never_saw_is_a_warning(made: Made, checkpoint: Callable[..., Path], tmp_path: Path):
    import torch

    content = torch.load(made.wanted.teacher, weights_only=False)
    content["train_args"] = {"imgsz": 2 * SIDE}
    torch.save(content, tmp_path / "teacher.pt")
    list(invert(replace(made.wanted, teacher=tmp_path / "teacher.pt", steps=25), tmp_path / "out"))
    report = json.loads((tmp_path / "out" / "inversion.json").read_text())
    assert report["warnings"] == ["the teacher learnt at 128 px, not 64"]
    assert json.loads((made.folder / "inversion.json").read_text())["warnings"] == []


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
