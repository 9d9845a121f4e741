"""Carry out a recipe in a run folder: teacher, then student; finished parts are kept, a broken one is resumed."""

import hashlib
import json
import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from trap_contract.dataset import DataSet
from trap_contract.errors import ConfigError, DataError
from trap_contract.quiet import quiet_ultralytics

from trap_training.part import Part, Setting, use_threads
from trap_training.recipe import Distillation, Network, Recipe

if TYPE_CHECKING:
    from trap_training.distillation import Lesson, Views

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
        claim(self.folder, self.recipe.model_dump_json(indent=1))
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


def claim(folder: Path, plan: str) -> None:
    """Write what a folder is made by; a folder made by another plan is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "recipe.json"
    if file.exists() and file.read_text() != plan:
        raise ConfigError(f"{folder}: holds a run of another recipe: give another --runs or remove it")
    file.write_text(plan)


def write_data_file(file: Path, data: DataSet, **splits: list[str]) -> None:
    """A data set's YAML with absolute places, for Ultralytics; `splits` replaces some of them."""
    places = {split: [str(place) for place in found] for split, found in data.splits.items()}
    file.write_text(yaml.safe_dump({**places, **splits, "names": dict(enumerate(data.names))}, sort_keys=False))


def stored_views(folder: Path, data: DataSet, setting: Setting, epochs: int, seed: int = 0) -> "Views":
    """Where the views of a training of so many epochs lie: equal data and augmentation share them."""
    from trap_training.distillation import Views

    made_of = [data.digest("train"), setting.imgsz, setting.augmentation.model_dump_json(), epochs, seed]
    return Views(folder / hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16], epochs, seed)


def lesson_of(teaching: Distillation | None, views: "Views | None", teacher: Path | None) -> "Lesson":
    """What a trainer is to do; stored answers are named by the teacher's weights."""
    from trap_training.distillation import Lesson

    if teaching is None:
        return Lesson(views=views)
    answers = None
    if views is not None and teacher is not None and teaching.scheme not in {"average", "mutual"}:
        answers = views.folder / f"answers_{hashlib.sha256(teacher.read_bytes()).hexdigest()[:16]}"
    scheme = teaching.scheme
    return Lesson(teaching.terms, views, answers, follows_student=scheme == "average", is_mutual=scheme == "mutual")


def write_start(network: Network, data: DataSet, folder: Path, seed: int) -> Path:
    """A checkpoint of an untrained network that knows the data's classes."""
    import torch
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import DEFAULT_CFG

    file = folder / "start.pt"
    if not file.exists():
        torch.manual_seed(seed)
        model = _loaded(network.model).model
        if model.yaml.get("nc") != len(data.names):
            fresh = DetectionModel(model.yaml, nc=len(data.names), verbose=False)
            fresh.load(model, verbose=False)
            model = fresh
        model.names, model.args = dict(enumerate(data.names)), vars(DEFAULT_CFG)
        part = file.with_suffix(".part")
        torch.save({"model": model, "train_args": {}}, part)
        part.rename(file)
    return file


def check_networks(
    networks: list[Network],
    teaching: Distillation | None,
    data: DataSet,
    imgsz: int,
    device: str,
    *,
    online: bool,
) -> None:
    """Refuse, before anything is trained, networks and terms that don't fit the data, each other or the device.

    Raises ConfigError or DataError.
    """
    for network in networks:
        is_missing = network.model.endswith(".pt") and not Path(network.model).exists()
        if is_missing and not online:
            raise ConfigError(f"{network.model}: no such checkpoint: give a path that exists, or --online")
        if not is_missing:
            check_network(network, data, imgsz)
    if teaching is None:
        return
    student = _loaded(networks[-1].model).model.model[-1]
    for term in teaching.terms:
        if fault := term.fault(len(data.names), student.reg_max):
            raise ConfigError(f"term {term.name}: {fault}")
        if "," in device and term.learns and term.name != "native":
            raise ConfigError(f"term {term.name}: its adapters can't be trained on several GPUs: use one, or drop it")
        if teaching.scheme == "mutual" and term.learns:
            raise ConfigError(f"term {term.name}: its adapters lead one way, and mutual learning goes both: drop it")


def check_network(network: Network, data: DataSet, imgsz: int) -> None:
    """Refuse what Ultralytics can't build, and a teacher as it is that was trained for something else.

    Raises DataError when such a teacher's classes are not the data's, in order (distillation would accept it silently
    and teach one class as another), or when it never saw pictures of this size. A checkpoint that is trained further
    may have any classes: its head is made anew.
    """
    model = _loaded(network.model)
    if network.epochs > 0:
        return
    names = tuple(model.names.values())
    if names != data.names:
        raise DataError(f"{network.model}: its classes {names} are not those of {data.file}, in order: {data.names}")
    seen = ((model.ckpt or {}).get("train_args") or {}).get("imgsz", imgsz)
    if seen != imgsz:
        raise DataError(f"{network.model}: was trained at {seen} px, not {imgsz}: set imgsz, or train it at that size")


def _loaded(model: str) -> Any:
    from ultralytics import YOLO

    try:
        return YOLO(model, task="detect")
    except Exception as error:  # unpickling a damaged file can raise anything
        raise DataError(f"{model}: not a network that Ultralytics can read: {error}") from error


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
