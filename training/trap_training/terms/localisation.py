"""Terms over boxes: how sure the teacher is of each side."""

from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.ops import generalized_box_iou_loss

from trap_training.taps import Positives, Taps
from trap_training.terms.response import softmax_divergence
from trap_training.terms.term import Temperature, Term


class Localisation(Term):
    """Distance bins of the four sides, on positive anchors or wherever the teacher sees something."""

    term: Literal["localisation"] = "localisation"
    temperature: Temperature = 2.0
    where: Literal["positives", "teacher"] = "positives"

    def fault(self, classes: int, bins: int) -> str | None:
        """YOLO26 has no distribution to learn from."""
        del classes
        return "the head has no distance bins (reg_max 1): use boxes" if bins == 1 else None

    def loss(self, student: Taps, teacher: Taps, positives: Positives, adapters: nn.ModuleList) -> Tensor:
        """`localisation_loss`, weighted by the task's targets or by the teacher's best scores."""
        del adapters
        weights = positives.weights if self.where == "positives" else teacher.scores
        return localisation_loss(student.box_logits, teacher.box_logits, weights, self.temperature)


class Boxes(Term):
    """Boxes themselves, where teacher and student disagree about the class."""

    term: Literal["boxes"] = "boxes"

    def loss(self, student: Taps, teacher: Taps, positives: Positives, adapters: nn.ModuleList) -> Tensor:
        """Generalised IoU loss of the boxes, weighted by max |q - p| (BCKD, arXiv 2308.14286, eq. 6)."""
        del positives, adapters
        known, said = (taps.cls_logits.detach().float().sigmoid() for taps in (teacher, student))
        weights = (known - said).abs().amax(dim=1)
        losses = generalized_box_iou_loss(_corners(student.box_logits), _corners(teacher.box_logits.detach()))
        return (losses * weights).sum() / weights.sum().clamp(min=1)


def localisation_loss(student: Tensor, teacher: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """T^2 KL over the bins of box logits (B, 4, bins, A), mean over sides, weighted by (B, A): a scalar.

    Localisation distillation, arXiv 2102.12252, eq. 5.
    """
    weights = weights.detach()
    each = softmax_divergence(student, teacher, temperature, dim=2).mean(dim=1)
    return (each * weights).sum() / weights.sum().clamp(min=1)


def _corners(box_logits: Tensor) -> Tensor:
    """Boxes (B, A, 4) as x0, y0, x1, y1 in cells around their anchor at the origin.

    Plain distances may be negative; sides that have changed places are put back, for IoU needs a box.
    """
    bins = box_logits.shape[2]
    logits = box_logits.float()
    steps = torch.arange(bins, device=logits.device, dtype=logits.dtype).view(1, 1, -1, 1)
    distances = (logits.softmax(2) * steps).sum(2) if bins > 1 else logits[:, :, 0]
    left, top, right, bottom = distances.unbind(1)
    low, high = torch.stack([-left, -top], dim=-1), torch.stack([right, bottom], dim=-1)
    return torch.cat([low.minimum(high), low.maximum(high)], dim=-1)
