"""A teacher labels pictures: what it finds above a confidence becomes a data set to train on."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from trap_contract.dataset import DataSet, Labels, check_stems, write_description, write_labels
from trap_contract.errors import ConfigError, DataError

from trap_training.network_checks import check_network
from trap_training.recipe import Network

_BATCH = 16
_IOU = 0.6


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of one picture: boxes kept, boxes below the threshold, by class name."""

    picture: Path
    kept: Counter[str]
    left: Counter[str]


@dataclass(frozen=True, slots=True)
class Labelling:
    """A teacher, the pictures it is to label, and the confidence above which a finding is kept.

    names: its classes, which the data's must be. imgsz: side of the network's input, px.
    """

    teacher: Path
    pictures: list[Path]
    names: tuple[str, ...]
    imgsz: int
    confidence: float = 0.40

    @classmethod
    def of_place(cls, teacher: Path, data_file: Path, place: str, imgsz: int, confidence: float) -> Self:
        """The labelling of one place of a data set.

        Raises ConfigError or DataError when teacher, data and confidence don't fit.
        """
        data = DataSet.load(data_file)
        if place in {"val", "test"}:
            raise ConfigError(f"--pictures {place}: a network trained on them could not be tested any more")
        if not 0 < confidence < 1:
            raise ConfigError(f"--confidence {confidence}: must lie between 0 and 1")
        check_network(Network(model=str(teacher), epochs=0), data, imgsz)
        return cls(teacher, data.pictures(place), data.names, imgsz, confidence)

    def write(self, out: Path) -> Iterator[Kept]:
        """Copy the pictures with their labels to out/images/train and out/labels/train, yielding each.

        Boxes of different classes suppress each other, because an insect has one class. Pictures in which the teacher
        finds nothing are left out: nobody said that they are empty. `labels.json` holds each box's score and the
        teacher's digest. Raises DataError when nothing is kept.
        """
        check_stems(self.pictures)
        folder = out / "images" / "train"
        folder.mkdir(parents=True, exist_ok=True)
        scores: dict[str, list[float]] = {}
        for picture, boxes in self._findings():
            kept, found = self._write_one(picture, boxes, folder)
            if found:
                scores[picture.name] = found
            yield kept
        if not scores:
            count = len(self.pictures)
            raise DataError(f"{self.teacher}: finds nothing above {self.confidence} in {count} pictures: lower it")
        digest = hashlib.sha256(self.teacher.read_bytes()).hexdigest()
        manifest = {"teacher": digest, "confidence": self.confidence, "iou": _IOU, "scores": scores}
        (out / "labels.json").write_text(json.dumps(manifest, indent=1))
        write_description(out, self.names, ("train",))

    def _findings(self) -> Iterator[tuple[Path, Any]]:
        from ultralytics import YOLO

        model = YOLO(str(self.teacher), task="detect")
        manner = {"imgsz": self.imgsz, "conf": self.confidence / 4, "iou": _IOU, "agnostic_nms": True}
        for start in range(0, len(self.pictures), _BATCH):
            batch = self.pictures[start : start + _BATCH]
            found = model.predict([str(picture) for picture in batch], verbose=False, device="cpu", **manner)
            yield from ((picture, result.boxes) for picture, result in zip(batch, found, strict=True))

    def _write_one(self, picture: Path, boxes: Any, folder: Path) -> tuple[Kept, list[float]]:
        scores, classes = boxes.conf.numpy(), boxes.cls.numpy().astype(np.int64)
        sure = scores > self.confidence
        kept, left = (Counter(self.names[place] for place in classes[which]) for which in (sure, ~sure))
        if sure.any():
            target = folder / picture.name
            shutil.copyfile(picture, target)
            write_labels(target, Labels(classes[sure], boxes.xywhn.numpy()[sure].astype(np.float64)))
        return Kept(picture, kept, left), [round(float(score), 4) for score in scores[sure]]


def balance(kept: list[Kept], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row a class: boxes kept, boxes left below the threshold, pictures with the class."""
    return [
        {
            "class": name,
            "kept": sum(each.kept[name] for each in kept),
            "left": sum(each.left[name] for each in kept),
            "pictures": sum(each.kept[name] > 0 for each in kept),
        }
        for name in names
    ]
