"""Carry out a recipe in a run folder: teacher, then student; finished parts are kept, a broken one is resumed."""

import json
import os
import platform
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from trap_contract.dataset import DataSet
from trap_contract.errors import ConfigError, DataError
from trap_contract.quiet import quiet_ultralytics

from trap_training.recipe import Network, Recipe

TOOLS = ("torch", "torchvision", "ultralytics", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class Run:
    """A recipe in its folder; `online` lets Ultralytics fetch a checkpoint that is named but not here."""

    recipe: Recipe
    folder: Path
    device: str
    threads: int = os.cpu_count() or 1
    online: bool = False

    def carry_out(self) -> Path:
        """Train what is not trained yet; returns report.json.

        Raises ConfigError or DataError before any training when recipe, data and checkpoints don't fit.
        """
        data = DataSet.load(self.recipe.data)
        for split in ("train", "val"):
            data.pictures(split)
        quiet_ultralytics(self.folder / "ultralytics", online=self.online)
        use_threads(self.threads)
        self._check_networks(data)
        self._prepare(data)
        if (self.folder / "report.json").exists():
            return self.folder / "report.json"
        teacher = self._teacher()
        student = self._train("student", self.recipe.student, teacher)
        return self._report(data, {"teacher": teacher, "student": student})

    def _prepare(self, data: DataSet) -> None:
        """Write what the run is made of; a folder made by another recipe is refused."""
        self.folder.mkdir(parents=True, exist_ok=True)
        recipe_file = self.folder / "recipe.json"
        text = self.recipe.model_dump_json(indent=1)
        if recipe_file.exists() and recipe_file.read_text() != text:
            raise ConfigError(f"{self.folder}: holds a run of another recipe: give another --runs or remove it")
        recipe_file.write_text(text)
        places = {split: [str(place) for place in found] for split, found in data.splits.items()}
        names = dict(enumerate(data.names))
        self._data_file.write_text(yaml.safe_dump({**places, "names": names}, sort_keys=False))

    @property
    def _data_file(self) -> Path:
        return (self.folder / "data.yaml").resolve()

    def _teacher(self) -> Path | None:
        return None if self.recipe.teacher is None else self._train("teacher", self.recipe.teacher, None)

    def _check_networks(self, data: DataSet) -> None:
        for network in filter(None, (self.recipe.teacher, self.recipe.student)):
            is_missing = network.model.endswith(".pt") and not Path(network.model).exists()
            if is_missing and not self.online:
                raise ConfigError(f"{network.model}: no such checkpoint: give a path that exists, or --online")
            if not is_missing:
                check_network(network, data)

    def _train(self, part: str, network: Network, teacher: Path | None) -> Path:
        """Weights of one trained part, from where it stands; a part of no epochs is the checkpoint as it is."""
        if network.epochs == 0:
            return Path(network.model)
        folder = self.folder / part
        best, last = folder / "weights" / "best.pt", folder / "weights" / "last.pt"
        if (folder / "finished").exists():
            return best
        began = time.monotonic()
        if last.exists() and epochs_done(last) in {0, network.epochs}:
            _close(folder)  # it was stopped after its last epoch, where Ultralytics refuses to resume
        elif last.exists():
            self._fit(last, {"resume": True}, distilled=teacher is not None)
        else:
            self._fit(Path(network.model), self._arguments(part, network, teacher), distilled=teacher is not None)
        (folder / "finished").write_text(f"{time.monotonic() - began:.1f}\n")
        return best

    def _fit(self, model: Path, arguments: dict[str, Any], *, distilled: bool) -> None:
        from ultralytics import YOLO
        from ultralytics.models.yolo.detect import DetectionTrainer

        trainer: Any = DetectionTrainer
        if distilled and self.recipe.distillation is not None:
            from trap_training.distillation import DistillationTrainer

            weight = self.recipe.distillation.response
            trainer = type("DistillationTrainer", (DistillationTrainer,), {"response_weight": weight})
        YOLO(str(model)).train(trainer=trainer, **arguments)

    def _arguments(self, part: str, network: Network, teacher: Path | None) -> dict[str, Any]:
        recipe = self.recipe
        arguments: dict[str, Any] = {
            "data": str(self._data_file),
            "epochs": network.epochs,
            "imgsz": recipe.imgsz,
            "seed": recipe.seed,
            "deterministic": True,
            "device": self.device,
            "workers": 2,
            "cache": "ram",
            "amp": False,
            "project": str(self.folder.resolve()),
            "name": part,
            "exist_ok": True,
            "patience": 0,
            **recipe.optimisation.model_dump(),
            **recipe.augmentation.model_dump(),
        }
        if teacher is not None and recipe.distillation is not None:
            arguments |= {"distill_model": str(teacher.resolve()), "dis": recipe.distillation.feature}
        return arguments

    def _report(self, data: DataSet, parts: dict[str, Path | None]) -> Path:
        report = {
            "recipe": json.loads(self.recipe.model_dump_json(exclude={"data"})),
            "dataset_digest": {split: data.digest(split) for split in data.splits},
            "classes": data.names,
            "tools": {tool: version(tool) for tool in TOOLS},
            "python": platform.python_version(),
            "parts": {
                part: measured(best, self.folder / part, self._data_file, data.names, self.recipe.imgsz)
                for part, best in parts.items()
                if best
            },
        }
        file = self.folder / "report.json"
        file.write_text(json.dumps(report, indent=1))
        for curves in self.folder.glob("*/results.png"):
            shutil.copyfile(curves, self.folder / f"{curves.parent.name}.png")
        return file


def use_threads(count: int) -> None:
    """Let a CPU training use so many threads; Ultralytics leaves one core of the machine idle, whatever is asked."""
    from ultralytics.utils import torch_utils

    torch_utils.NUM_THREADS = count


def check_network(network: Network, data: DataSet) -> None:
    """Refuse what Ultralytics can't build, and a teacher as it is whose classes are not the data's, in order.

    Raises DataError: distillation would otherwise accept it silently and teach one class as another. A checkpoint that
    is trained further may have any classes: its head is made anew.
    """
    from ultralytics import YOLO

    try:
        names = tuple(YOLO(network.model, task="detect").names.values())
    except Exception as error:  # unpickling a damaged file can raise anything
        raise DataError(f"{network.model}: not a network that Ultralytics can read: {error}") from error
    if network.epochs == 0 and names != data.names:
        raise DataError(f"{network.model}: its classes {names} are not those of {data.file}, in order: {data.names}")


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


def measured(weights: Path, folder: Path, data_file: Path, names: tuple[str, ...], imgsz: int) -> dict[str, Any]:
    """Ultralytics' own validation of float weights on the val split, and what the network in `folder` is made of.

    `seconds` are those of the last leg of its training; 0 for a checkpoint that was taken as it is.
    """
    from ultralytics import YOLO

    model = YOLO(str(weights))
    quick = {"plots": False, "verbose": False, "device": "cpu", "workers": 0}
    place = {"project": str(folder.parent.resolve()), "name": f"{folder.name}_val", "exist_ok": True}
    result = model.val(data=str(data_file), imgsz=imgsz, rect=False, **quick, **place)
    layers, parameters, _, gflops = model.info(imgsz=imgsz)
    box = result.box
    finished = folder / "finished"
    rows = {int(place): row for row, place in enumerate(box.ap_class_index)}
    return {
        "map50": float(box.map50),
        "map50_95": float(box.map),
        "classes": {
            name: {"map50": float(box.ap50[rows[place]]), "map50_95": float(box.ap[rows[place]])}
            for place, name in enumerate(names)
            if place in rows
        },
        "layers": layers,
        "parameters": parameters,
        "gflops": gflops,
        "seconds": float(finished.read_text()) if finished.exists() else 0.0,
    }
