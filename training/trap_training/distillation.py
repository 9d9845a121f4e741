"""Offline distillation: a frozen teacher adds a response term to the detection loss and the native feature term.

Ultralytics' own wrapper does freezing, feature capture, projection, EMA and checkpoints; DistillationTrainer lets it
wrap the student and then upgrades the wrapper's class in place, so only the loss is ours.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.distill_model import DistillationModel
from ultralytics.utils.torch_utils import unwrap_model


def response_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Class-response distillation of class logits (batch, classes, anchors), a scalar.

    Binary cross-entropy against the teacher's probabilities q, less their entropy so that agreement is zero, weighted
    by |q - p| and divided by the teacher's summed best scores (BCKD, arXiv 2308.14286, eq. 4). Heads are sigmoid: a
    softmax over classes would not teach absolute scores, and a temperature would hand the loss to the background.
    """
    target = teacher.detach().float().sigmoid()
    logits = student.float()
    weight = (target - logits.detach().sigmoid()).abs()
    entropy = functional.binary_cross_entropy(target, target, reduction="none")
    divergence = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") - entropy
    return (divergence * weight).sum() / target.amax(dim=1).sum().clamp(min=1)


class ResponseDistillationModel(DistillationModel):  # type: ignore[misc]
    """Ultralytics' teacher-student pair with a response term beside its feature term."""

    response_weight: float = 1.0

    def loss(self, batch: dict[str, Any], preds: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Task, feature and response losses, each times the batch size, and their detached items.

        The items have the same keys in training and evaluation: Ultralytics' validator sums them by key.
        """
        losses, items = super().loss(batch, preds)
        response = torch.zeros(1, device=losses.device)
        if self.training and self.response_weight:
            level = len(self.feats_idx) - 1  # the head comes behind the neck's levels
            student = self.decouple_outputs(self._student_feats[level], branch="one2many")["scores"]
            teacher = self.decouple_outputs(self._teacher_feats[level], branch="one2many")["scores"]
            response = self.response_weight * response_loss(student, teacher).reshape(1)
        items["response_loss"] = response.detach()
        return torch.cat([losses, response * len(batch["img"])]), items


class DistillationTrainer(DetectionTrainer):  # type: ignore[misc]
    """A detection trainer whose distillation wrapper has the response term."""

    response_weight: float = 1.0

    def _build_train_pipeline(self) -> None:
        # The native wrapping has just happened; optimizer and EMA, built next, must see the upgraded model.
        model = unwrap_model(self.model)
        if type(model) is DistillationModel:
            model.__class__ = ResponseDistillationModel
            model.response_weight = self.response_weight
        super()._build_train_pipeline()
