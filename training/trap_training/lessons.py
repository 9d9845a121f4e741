"""What a trainer is to do for a recipe or an arm: its lesson, its stored views, the checkpoint it starts from."""

import hashlib
import json
from pathlib import Path

import torch
from trap_contract.dataset import DataSet
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG

from trap_training.distillation import Lesson, Views
from trap_training.network_checks import load_network
from trap_training.part import Setting
from trap_training.recipe import Distillation, Network


def stored_views(folder: Path, data: DataSet, setting: Setting, epochs: int, seed: int = 0) -> Views:
    """Where the views of a training of so many epochs lie: equal data and augmentation share them."""
    made_of = [data.digest("train"), setting.imgsz, setting.augmentation.model_dump_json(), epochs, seed]
    return Views(folder / hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16], epochs, seed)


def lesson_of(teaching: Distillation | None, views: Views | None, teacher: Path | None) -> Lesson:
    """What a trainer is to do; stored answers are named by the teacher's weights."""
    if teaching is None:
        return Lesson(views=views)
    answers = None
    if views is not None and teacher is not None and teaching.scheme not in {"average", "mutual", "within"}:
        answers = views.folder / f"answers_{hashlib.sha256(teacher.read_bytes()).hexdigest()[:16]}"
    scheme = teaching.scheme
    return Lesson(teaching.terms, views, answers, follows_student=scheme == "average", is_mutual=scheme == "mutual")


def write_start(network: Network, data: DataSet, folder: Path, seed: int) -> Path:
    """A checkpoint of an untrained network that knows the data's classes."""
    file = folder / "start.pt"
    if not file.exists():
        torch.manual_seed(seed)
        model = load_network(network.model).model
        if model.yaml.get("nc") != len(data.names):
            fresh = DetectionModel(model.yaml, nc=len(data.names), verbose=False)
            fresh.load(model, verbose=False)
            model = fresh
        model.names, model.args = dict(enumerate(data.names)), vars(DEFAULT_CFG)
        part = file.with_suffix(".part")
        torch.save({"model": model, "train_args": {}}, part)
        part.rename(file)
    return file
