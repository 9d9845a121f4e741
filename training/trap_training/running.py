"""Carry out a recipe in a run folder: teacher, then student; finished parts are kept, a broken one is resumed."""

import contextlib
import fcntl
import json
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from trap_contract.dataset import DataSet
from trap_contract.errors import ConfigError
from trap_contract.quiet import quiet_ultralytics

from trap_training.network_checks import check_networks
from trap_training.part import Part, Setting, use_threads
from trap_training.recipe import Distillation, Network, Recipe

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
        networks = [network for network in (self.recipe.teacher, self.recipe.student) if network is not None]
        check_networks(networks, self.recipe.distillation, data, self.recipe.imgsz, self.device, online=self.online)
        with claimed(self.folder, self.recipe.model_dump_json(indent=1)):
            write_data_file(self._data_file, data)
            if not (self.folder / "report.json").exists():
                self._report(data, self._parts(data))
        return self.folder / "report.json"

    @property
    def _data_file(self) -> Path:
        return (self.folder / "data.yaml").resolve()

    def _parts(self, data: DataSet) -> dict[str, Path]:
        """The trained networks by name, the student last."""
        teaching = self.recipe.distillation
        if teaching is not None and teaching.scheme == "born_again":
            return self._generations(data, teaching)
        if teaching is not None and teaching.scheme == "co_distillation":
            return self._rounds(data, teaching)
        if teaching is not None and teaching.scheme != "offline":
            return {"student": self._train("student", self.recipe.student, data, teaching, self._start())}
        parts = {}
        if self.recipe.teacher is not None:
            parts["teacher"] = self._train("teacher", self.recipe.teacher, data)
        parts["student"] = self._train("student", self.recipe.student, data, teaching, parts.get("teacher"))
        return parts

    def _generations(self, data: DataSet, teaching: Distillation) -> dict[str, Path]:
        """Each generation starts anew and is taught by the one before; the first by the teacher, where there is one."""
        last = None if self.recipe.teacher is None else self._train("teacher", self.recipe.teacher, data)
        parts = {} if last is None else {"teacher": last}
        for name in [*(f"generation{number}" for number in range(1, teaching.rounds + 1)), "student"]:
            last = parts[name] = self._train(name, self.recipe.student, data, teaching if last else None, last)
        return parts

    def _rounds(self, data: DataSet, teaching: Distillation) -> dict[str, Path]:
        """Student and teacher go on from their own last round, each taught by the other's."""
        teacher, student = self.recipe.teacher, self.recipe.student
        if teacher is None:
            raise ConfigError("co_distillation needs a teacher")
        peers = self._train("teacher1", teacher, data), self._train("student1", student, data)
        for number in range(2, teaching.rounds + 1):
            on = [
                net.model_copy(update={"model": str(best)}) for net, best in zip((teacher, student), peers, strict=True)
            ]
            peers = (
                self._train(f"teacher{number}", on[0], data, teaching, peers[1]),
                self._train(f"student{number}", on[1], data, teaching, peers[0]),
            )
        final = student.model_copy(update={"model": str(peers[1])})
        return {"teacher": peers[0], "student": self._train("student", final, data, teaching, peers[0])}

    def _start(self) -> Path:
        """A checkpoint of what the student's average, or its peer, starts from."""
        teaching = self.recipe.distillation
        is_mutual = teaching is not None and teaching.scheme == "mutual"
        network = self.recipe.teacher if is_mutual else self.recipe.student
        from trap_training.lessons import write_start  # imports Ultralytics, which must be quiet by now

        return write_start(
            network or self.recipe.student, DataSet.load(self.recipe.data), self.folder, self.recipe.seed
        )

    def _train(
        self,
        name: str,
        network: Network,
        data: DataSet,
        teaching: Distillation | None = None,
        teacher: Path | None = None,
    ) -> Path:
        if network.epochs == 0:
            return Path(network.model)
        recipe = self.recipe
        setting = Setting(self._data_file, recipe.imgsz, recipe.optimisation, recipe.augmentation, self.device)
        from trap_training.lessons import lesson_of, stored_views

        views = stored_views(self.folder / "views", data, setting, network.epochs) if recipe.stored_views else None
        lesson = lesson_of(teaching, views, teacher)
        taught_by = None if teaching is None else teacher
        return Part(self.folder / name, network.model, network.epochs, recipe.seed, setting, lesson, taught_by).train()

    def _report(self, data: DataSet, parts: dict[str, Path]) -> None:
        report = {
            "recipe": json.loads(self.recipe.model_dump_json(exclude={"data"})),
            "dataset_digest": {split: data.digest(split) for split in data.splits},
            "classes": data.names,
            "tools": {tool: version(tool) for tool in TOOLS},
            "python": platform.python_version(),
            "parts": {
                part: measured(best, self.folder / part, self._data_file, data.names, self.recipe.imgsz)
                for part, best in parts.items()
            },
        }
        (self.folder / "report.json").write_text(json.dumps(report, indent=1))
        for curves in self.folder.glob("*/results.png"):
            shutil.copyfile(curves, self.folder / f"{curves.parent.name}.png")


@contextlib.contextmanager
def claimed(folder: Path, plan: str) -> Iterator[None]:
    """Hold a run's folder, which says what it is made by.

    Raises ConfigError when it was made by another plan, or another process is at work in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "recipe.json"
    if file.exists() and file.read_text() != plan:
        raise ConfigError(f"{folder}: holds a run of another recipe: give another --runs or remove it")
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"{folder}: another trap-train is at work here: wait for it, or stop it") from error
        file.write_text(plan)
        yield


def write_data_file(file: Path, data: DataSet, **splits: list[str]) -> None:
    """A data set's YAML with absolute places, for Ultralytics; `splits` replaces some of them."""
    places = {split: [str(place) for place in found] for split, found in data.splits.items()}
    file.write_text(yaml.safe_dump({**places, **splits, "names": dict(enumerate(data.names))}, sort_keys=False))


def measured(weights: Path, folder: Path, data_file: Path, names: tuple[str, ...], imgsz: int) -> dict[str, Any]:
    """Ultralytics' own validation of float weights on the val split, and what the network in `folder` is made of.

    `seconds` are those of its training; 0 for a checkpoint that was taken as it is.
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
