"""Ultralytics' own validation of a checkpoint, kept picture by picture so that two networks can be compared fairly."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from trap_contract.dataset import DataSet
from trap_contract.errors import DataError

CONFUSION_CONFIDENCE, CONFUSION_IOU = 0.25, 0.5


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One class: average precision, and precision and recall where the mean F1 of all classes is best."""

    map50: float
    map50_95: float
    precision: float
    recall: float


@dataclass(frozen=True, eq=False)
class Scores:
    """What a network found on P pictures: N boxes, M insects.

    hits: (N, 10), whether a box is right at IoU 0.5, 0.55 ... 0.95. confidences, found, found_in: (N,), score, class
    and picture of each box. truth, truth_in: (M,), class and picture of each insect. confusion: (classes + 1,
    classes + 1) counts at confidence 0.25 and IoU 0.5, rows truth, columns found, the last of each is background.
    """

    names: tuple[str, ...]
    pictures: tuple[str, ...]
    hits: NDArray[np.bool_]
    confidences: NDArray[np.floating[Any]]
    found: NDArray[np.int64]
    found_in: NDArray[np.int64]
    truth: NDArray[np.int64]
    truth_in: NDArray[np.int64]
    confusion: NDArray[np.int64] = field(repr=False)

    @cached_property
    def classes(self) -> dict[str, ClassScores]:
        """The scores of each class that has an insect, by Ultralytics' own ap_per_class."""
        from ultralytics.utils.metrics import ap_per_class

        answer = ap_per_class(self.hits, self.confidences, self.found, self.truth)
        precision, recall, average, present = answer[2], answer[3], answer[5], answer[6]
        return {
            self.names[place]: ClassScores(
                float(average[row, 0]), float(average[row].mean()), float(precision[row]), float(recall[row])
            )
            for row, place in enumerate(present)
        }

    @property
    def map50(self) -> float:
        """Mean over classes of the average precision at IoU 0.5."""
        return self._mean("map50")

    @property
    def map50_95(self) -> float:
        """Mean over classes of the average precision, averaged over the ten IoU thresholds."""
        return self._mean("map50_95")

    @property
    def precision(self) -> float:
        """Mean over classes of the precision at best F1."""
        return self._mean("precision")

    @property
    def recall(self) -> float:
        """Mean over classes of the recall at best F1."""
        return self._mean("recall")

    def _mean(self, name: str) -> float:
        return float(np.mean([getattr(scores, name) for scores in self.classes.values()])) if self.classes else 0.0

    def save(self, file: Path) -> None:
        """Write one .npz, whole or not at all."""
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in asdict(self).items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.partial")
        with partial.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
        partial.replace(file)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read what `save` wrote.

        Raises DataError when the file is missing or damaged.
        """
        try:
            with np.load(file, allow_pickle=False) as content:
                arrays = {name: content[name] for name in cls.__dataclass_fields__}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{file}: not the scores of a network: remove it to score again ({error})") from error
        names, pictures = (tuple(map(str, arrays.pop(name))) for name in ("names", "pictures"))
        return cls(names, pictures, **arrays)


def score(
    weights: Path,
    data_file: Path,
    split: str,
    names: tuple[str, ...],
    imgsz: int,
    *,
    folder: Path,
    device: str = "cpu",
) -> Scores:
    """Validate a checkpoint as Ultralytics does, on square pictures; its scratch files go into `folder`.

    Raises DataError when the checkpoint has other classes than `names`, in order, or a picture can't be read.
    """
    from trap_training.studies.validation import RecordingValidator

    place = {"model": str(weights), "data": str(data_file.resolve()), "split": split, "device": device}
    manner = {"imgsz": imgsz, "rect": False, "plots": False, "verbose": False, "workers": 0, "mode": "val"}
    validator = RecordingValidator(save_dir=folder, args=place | manner)
    validator()
    known = tuple(validator.names.values())
    if known != names:
        raise DataError(f"{weights}: its classes {known} are not those of {data_file}, in order: {names}")
    expected = DataSet.load(data_file).pictures(split)
    if len(validator.pictures) != len(expected):
        unread = sorted({picture.name for picture in expected} - set(validator.pictures))
        raise DataError(f"{data_file}: {len(unread)} pictures of {split} can't be read, the first is {unread[0]}")
    return scores_of(names, validator.pictures, validator.kept, validator.confusion_matrix.matrix.T)


def scores_of(
    names: tuple[str, ...],
    pictures: Sequence[str],
    kept: dict[str, list[NDArray[Any]]],
    confusion: NDArray[Any],
) -> Scores:
    """Scores from what Ultralytics keeps of each picture: tp (n, 10), conf, pred_cls (n,) and target_cls (m,)."""
    places = np.arange(len(pictures))
    return Scores(
        names,
        tuple(pictures),
        np.concatenate(kept["tp"]).astype(bool),
        np.concatenate(kept["conf"]),
        np.concatenate(kept["pred_cls"]).astype(np.int64),
        np.repeat(places, [len(found) for found in kept["conf"]]),
        np.concatenate(kept["target_cls"]).astype(np.int64),
        np.repeat(places, [len(truth) for truth in kept["target_cls"]]),
        confusion.astype(np.int64),
    )
