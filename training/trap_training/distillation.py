"""A student taught while it trains: Ultralytics' teacher-student wrapper with our terms in its loss.

The wrapper does freezing, EMA and checkpoints; the trainer lets it wrap the student and then upgrades the wrapper's
class in place, so only the loss is ours. The teacher answers live, or its answers are read from stored views.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from trap_contract.errors import DataError
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.distill_model import DistillationModel
from ultralytics.utils.torch_utils import unwrap_model

from trap_training.shallow import ShallowMap, captured, shallow_maps
from trap_training.taps import Positives, Taps, recording_assigner
from trap_training.terms.term import Term
from trap_training.views import StoredTeacher, ViewDataset, ViewStore

Batch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Views:
    """Where stored views are kept, how many epochs of them there are, and their seed."""

    folder: Path
    epochs: int
    seed: int


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a trainer does beside Ultralytics' own training."""

    terms: tuple[Term, ...] = ()
    views: Views | None = None
    answers: Path | None = None
    """Folder of the stored teacher's answers to the views."""
    follows_student: bool = False
    """Whether the teacher is the student's own moving average, taken over before each epoch."""
    is_mutual: bool = False
    """Whether the teacher learns too, on the same batches."""


class DistilledModel(DistillationModel):  # type: ignore[misc]
    """Ultralytics' teacher-student pair with a loss made of terms."""

    terms: tuple[Term, ...]
    shares: tuple[float, ...]
    adapters: nn.ModuleList
    stored: StoredTeacher | None
    shallow: tuple[ShallowMap, ...]

    def prepare(self, terms: tuple[Term, ...]) -> None:
        """Give a freshly wrapped pair its terms, and the adapters they need."""
        self.terms, self.stored = terms, None
        self.shares = tuple(1.0 for _ in terms)
        self.shallow = shallow_maps(self.student_model) if any(term.from_within for term in terms) else ()
        student, teacher = (self._channels(hooked) for hooked in (self._student_feats, self._teacher_feats))
        shallow = tuple(found.channels for found in self.shallow)
        pairs = [(shallow, student) if term.from_within else (student, teacher) for term in terms]
        self.adapters = nn.ModuleList(term.adapters(*pair) for term, pair in zip(terms, pairs, strict=True))
        self.adapters.to(next(self.student_model.parameters()).device)

    def loss(self, batch: Batch, preds: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Task loss and one loss a term, each times the batch size, and their detached items.

        The items have the same keys in training and evaluation: Ultralytics' validator sums them by key.
        """
        if not self.training:
            losses, items = self.student_model.loss(batch, self.student_model(batch["img"]) if preds is None else preds)
            nothing = torch.zeros(len(self.loss_items), device=losses.device)
            return torch.cat([losses, nothing]), items | self._items(nothing)
        with captured(self.student_model, self.shallow) as shallow:
            student, losses, items, positives = task_loss(self.student_model, batch)
        taught = self._taught(replace(student, shallow=tuple(shallow)), batch, positives)
        return torch.cat([losses, taught * len(batch["img"])]), items | self._items(taught.detach())

    @property
    def loss_items(self) -> list[str]:
        """Names of the losses beside the task's own."""
        return [f"{term.name}_loss" for term in self.terms]

    def _taught(self, student: Taps, batch: Batch, positives: Positives) -> Tensor:
        """The weighted loss of each term: (terms,)."""
        is_asked = not all(term.from_within for term in self.terms)
        return self._compared(student, self._teacher_taps(batch) if is_asked else student, positives)

    def _compared(self, student: Taps, teacher: Taps, positives: Positives) -> Tensor:
        losses = [torch.zeros(0, device=student.cls_logits.device)]
        for term, adapters, share in zip(self.terms, self.adapters, self.shares, strict=True):
            layers = self.projector if term.name == "native" else adapters
            strength = term.weight * share
            pair = (student.shallower, student.detached()) if term.from_within else (student, teacher)
            loss = term.loss(*pair, positives, layers) if strength else student.cls_logits.sum() * 0
            losses.append(strength * loss.float().reshape(1))
        return torch.cat(losses)

    def _teacher_taps(self, batch: Batch) -> Taps:
        if self.stored is not None:
            return self.stored.taps(list(batch["view"]), batch["img"].device)
        with torch.no_grad():
            return Taps.of(self.teacher_model(batch["img"]))

    def _items(self, losses: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.loss_items, losses, strict=True))

    def _channels(self, hooked: dict[int, Any]) -> tuple[int, ...]:
        return tuple(hooked[level].shape[1] for level in range(len(self.feats_idx) - 1))

    def __getstate__(self) -> dict[str, Any]:
        """Stored answers stay out of copies and checkpoints: they are gigabytes on disk."""
        state: dict[str, Any] = super().__getstate__()
        return state | {"stored": None}


class MutualModel(DistilledModel):
    """Two students on the same batches, each taught by the other (deep mutual learning, arXiv 1706.00384).

    The peer starts from what the wrapper took for a teacher; only the student is exported.
    """

    peer: nn.Module

    def prepare(self, terms: tuple[Term, ...]) -> None:
        """Give the pair its terms, and the peer its freedom; its distance bins stay fixed, as every head's do."""
        super().prepare(terms)
        self.peer = deepcopy(self.teacher_model)
        self.peer.args = self.student_model.args
        for name, weight in self.peer.named_parameters():
            weight.requires_grad = ".dfl" not in name

    @property
    def loss_items(self) -> list[str]:
        """As in offline distillation, and all that the peer learns in one."""
        return [*super().loss_items, "peer_loss"]

    def _taught(self, student: Taps, batch: Batch, positives: Positives) -> Tensor:
        peer, losses, _, peer_positives = task_loss(self.peer, batch)
        taught = self._compared(student, peer.detached(), positives)
        taught_peer = self._compared(peer, student.detached(), peer_positives)
        learnt = losses.sum() / len(batch["img"]) + taught_peer.sum()
        return torch.cat([taught, learnt.reshape(1)])


def task_loss(model: nn.Module, batch: Batch) -> tuple[Taps, Tensor, dict[str, Tensor], Positives]:
    """A model's taps for a training batch, its own losses and their items, and its positive anchors."""
    output = model(batch["img"])
    if getattr(model, "criterion", None) is None:
        model.criterion = model.init_criterion()
    assigner = recording_assigner(model.criterion)
    losses, items = model.loss(batch, output)
    if assigner.last is None:
        raise DataError("the task loss assigned no anchors: this head's criterion is not one we know")
    return Taps.of(output), losses, items, assigner.last


class LessonTrainer(DetectionTrainer):  # type: ignore[misc]
    """A detection trainer that carries out a lesson: stored views, terms, or both."""

    lesson: Lesson = Lesson()
    last: Path
    best: Path

    def setup_model(self) -> Any:
        """As Ultralytics does; when it resumes, the adapters' weights are kept for the upgraded wrapper."""
        checkpoint = super().setup_model()
        self._resumed = checkpoint["ema"] if checkpoint else None
        return checkpoint

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """The train set as stored views where the lesson has them."""
        dataset = super().build_dataset(img_path, mode, batch)
        views = self.lesson.views
        if mode != "train" or views is None:
            return dataset
        return ViewDataset(dataset, ViewStore.opened(views.folder, dataset, self.args, views.epochs, views.seed))

    def save_model(self) -> Any:
        """As Ultralytics does, but aside and then renamed: a checkpoint cut short could not be resumed from."""
        places = self.last, self.best
        self.last, self.best = (place.with_suffix(".part") for place in places)
        try:
            saved = super().save_model()
        finally:
            parts, (self.last, self.best) = (self.last, self.best), places
        for part, place in zip(parts, places, strict=True):
            if part.exists():
                part.rename(place)
        return saved

    def _build_train_pipeline(self) -> None:
        # The native wrapping has just happened; optimizer and EMA, built next, must see the upgraded model.
        model = unwrap_model(self.model)
        if type(model) is DistillationModel:
            model.__class__ = MutualModel if self.lesson.is_mutual else DistilledModel
            model.prepare(self.lesson.terms)
            for learnt in ("adapters", "peer"):  # the native resuming restores student and projector alone
                if hasattr(self._resumed, learnt):
                    getattr(model, learnt).load_state_dict(getattr(self._resumed, learnt).float().state_dict())
        super()._build_train_pipeline()
        if isinstance(model, DistilledModel) and self.lesson.answers is not None:
            store, needs_maps = self.train_loader.dataset.store, any(term.uses_maps for term in self.lesson.terms)
            answers = self.lesson.answers
            model.stored = StoredTeacher.opened(answers, store, model.teacher_model, self.device, maps=needs_maps)

    def _model_train(self) -> None:
        super()._model_train()
        if self.lesson.views is not None:
            self.train_loader.dataset.epoch = self.epoch
            self.train_loader.reset()  # worker processes hold copies of the data set, which know the last epoch alone
        model = unwrap_model(self.model)
        if isinstance(model, DistilledModel):
            share = partial(_share, epoch=self.epoch, epochs=self.epochs, close_mosaic=self.args.close_mosaic)
            model.shares = tuple(share(term) for term in self.lesson.terms)
            if self.lesson.follows_student:
                model.teacher_model.load_state_dict(self.ema.ema.student_model.state_dict())


def lesson_trainer(lesson: Lesson) -> Callable[..., LessonTrainer]:
    """A trainer class with this lesson: Ultralytics makes trainers itself and hands on no arguments of ours."""
    return type("LessonTrainer", (LessonTrainer,), {"lesson": lesson})


def _share(term: Term, epoch: int, epochs: int, close_mosaic: int) -> float:
    return term.schedule.share(epoch, epochs, close_mosaic)
