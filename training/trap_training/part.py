"""Train one network in a folder: finished once, resumed where it was broken off."""

import csv
import os
import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trap_contract.errors import DataError, StoreError

from trap_training.recipe import Augmentation, Optimisation


@dataclass(frozen=True, slots=True)
class Setting:
    """What the networks of a run share: data, input size and how weights move."""

    data_file: Path
    imgsz: int
    optimisation: Optimisation
    augmentation: Augmentation
    device: str


@dataclass(frozen=True, slots=True)
class Part:
    """One training: a model YAML or checkpoint, for so many epochs, with or without a lesson."""

    folder: Path
    model: str
    epochs: int
    seed: int
    setting: Setting
    lesson: Any = None
    """A `distillation.Lesson`; it is not imported here, because that would load torch for every command."""
    teacher: Path | None = None
    weights: Path | None = None
    """A checkpoint whose weights a model YAML begins with, as far as names and shapes agree."""

    @property
    def best(self) -> Path:
        """The weights of the epoch that scored best on the val split."""
        return self.folder / "weights" / "best.pt"

    @property
    def seconds(self) -> float:
        """Wall time of its training, over all its legs; 0 before it is finished."""
        finished = self.folder / "finished"
        return float(finished.read_text()) if finished.exists() else 0.0

    def train(self) -> Path:
        """The best weights, trained from where the folder stands.

        Raises DataError when the last checkpoint is damaged, StoreError when the disk is full or read-only.
        """
        if (self.folder / "finished").exists():
            return self.best
        last = self.folder / "weights" / "last.pt"
        try:
            self._go_on(last)
        except OSError as error:
            raise StoreError(
                f"{self.folder}: can't be written ({error.strerror}): mend it and run the same command, which resumes"
            ) from error
        (self.folder / "finished").write_text(f"{_seconds(self.folder / 'results.csv'):.1f}\n")
        return self.best

    def _go_on(self, last: Path) -> None:
        if last.exists() and epochs_done(last) in {0, self.epochs}:
            _close(self.folder)  # it was stopped after its last epoch, where Ultralytics refuses to resume
        elif last.exists():
            self._fit(str(last), {"resume": True})
        else:
            shutil.rmtree(self.folder, ignore_errors=True)  # plots of an epoch that was never finished
            self._fit(self.model, self._arguments())

    def _fit(self, model: str, arguments: dict[str, Any]) -> None:
        from ultralytics import YOLO

        from trap_training.distillation import Lesson, lesson_trainer
        from trap_training.half import half_networks, has_bfloat16

        trainer, device = lesson_trainer(self.lesson or Lesson()), self.setting.device
        is_half = self.setting.optimisation.half and has_bfloat16(device)
        with half_networks(device) if is_half else nullcontext():
            YOLO(model, task="detect").train(trainer=trainer, **arguments)

    def _arguments(self) -> dict[str, Any]:
        setting = self.setting
        arguments: dict[str, Any] = {
            "data": str(setting.data_file.resolve()),
            "epochs": self.epochs,
            "imgsz": setting.imgsz,
            "seed": self.seed,
            "deterministic": True,
            "device": setting.device,
            "workers": 2 if setting.device == "cpu" else os.cpu_count(),  # a GPU waits for pictures
            "cache": "ram",
            "amp": False,
            "project": str(self.folder.parent.resolve()),
            "name": self.folder.name,
            "exist_ok": True,
            "patience": 0,
            **setting.optimisation.model_dump(exclude={"half"}),
            **setting.augmentation.model_dump(),
        }
        if self.weights is not None:
            arguments["pretrained"] = str(self.weights.resolve())
        return arguments if self.teacher is None else arguments | {"distill_model": str(self.teacher.resolve())}


def use_threads(count: int) -> None:
    """Let a CPU training use so many threads; Ultralytics leaves one core of the machine idle, whatever is asked."""
    from ultralytics.utils import torch_utils

    torch_utils.NUM_THREADS = count


def epochs_done(last: Path) -> int:
    """Epochs behind a checkpoint; 0 when it is stripped, which Ultralytics does after the last one.

    Raises DataError when the file is damaged, as one cut off by a power failure is.
    """
    from ultralytics.nn.tasks import load_checkpoint

    try:
        return int(load_checkpoint(last)[1]["epoch"]) + 1
    except Exception as error:  # unpickling a damaged file can raise anything
        folder = last.parents[1]
        raise DataError(f"{last}: damaged, so training can't go on: remove {folder} to train it again") from error


def _close(folder: Path) -> None:
    """Do for a trained part what Ultralytics does after the last epoch."""
    from ultralytics.utils.plotting import plot_results
    from ultralytics.utils.torch_utils import strip_optimizer

    strip_optimizer(folder / "weights" / "best.pt")
    plot_results(folder / "results.csv")


def _seconds(results: Path) -> float:
    """Training time by Ultralytics' own clock, which starts anew with every leg: the sum of each leg's last time."""
    with results.open(newline="") as file:
        times = [float({key.strip(): value for key, value in row.items()}["time"]) for row in csv.DictReader(file)]
    return sum(now for now, later in zip(times, [*times[1:], 0.0], strict=True) if later < now)
