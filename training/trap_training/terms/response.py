"""Terms over class logits: what the teacher sees where."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from trap_training.taps import Positives, Taps
from trap_training.terms.term import Temperature, Term


class Response(Term):
    """Sigmoid class logits of every anchor, weighted by disagreement."""

    term: Literal["response"] = "response"
    temperature: Temperature = 1.0

    def loss(self, student: Taps, teacher: Taps, positives: Positives, adapters: nn.ModuleList) -> Tensor:
        """`response_loss` of the class logits."""
        del positives, adapters
        return response_loss(student.cls_logits, teacher.cls_logits, self.temperature)


class Softened(Term):
    """Softmax with temperature on positive anchors: alpha times cross-entropy plus the rest times T^2 KL."""

    term: Literal["softened"] = "softened"
    temperature: Temperature = 2.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.0

    def fault(self, classes: int, bins: int) -> str | None:
        """A softmax over one class is always 1."""
        del bins
        return "a softmax over one class teaches nothing: use response" if classes == 1 else None

    def loss(self, student: Taps, teacher: Taps, positives: Positives, adapters: nn.ModuleList) -> Tensor:
        """The mean over positive anchors of `softened_loss`, weighted by the task's own targets."""
        del adapters
        pupil, master = (taps.cls_logits.transpose(1, 2)[positives.mask] for taps in (student, teacher))
        each = softened_loss(pupil, master, positives.classes, self.temperature, self.alpha)
        weights = positives.weights[positives.mask]
        return (each * weights).sum() / weights.sum().clamp(min=1)


def response_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Class-response distillation of class logits (batch, classes, anchors), a scalar.

    T^2 times the binary cross-entropy against the teacher's probabilities q, less their entropy so that agreement is
    zero, weighted by |q - p| and divided by the teacher's summed best scores (BCKD, arXiv 2308.14286, eq. 4; T^2 as in
    Hinton, arXiv 1503.02531). Heads are sigmoid: a softmax over classes would not teach absolute scores, and a
    temperature above 1 gives the loss to the background, so 1 is the default.
    """
    soft = teacher.detach().float() / temperature
    logits = student.float() / temperature
    target = soft.sigmoid()
    weight = (target - logits.detach().sigmoid()).abs()
    entropy = functional.binary_cross_entropy_with_logits(soft, target, reduction="none")
    divergence = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") - entropy
    scale = teacher.detach().float().sigmoid().amax(dim=1).sum().clamp(min=1)
    return temperature**2 * (divergence * weight).sum() / scale


def softened_loss(student: Tensor, teacher: Tensor, classes: Tensor, temperature: float, alpha: float) -> Tensor:
    """Weighted sum a CE + (1 - a) T^2 KL(teacher || student) of logits (N, classes) and true classes (N,): (N,).

    Hinton, Vinyals and Dean, arXiv 1503.02531, section 2.
    """
    hard = functional.cross_entropy(student.float(), classes, reduction="none")
    soft = softmax_divergence(student, teacher, temperature, dim=1)
    return alpha * hard + (1 - alpha) * soft


def softmax_divergence(student: Tensor, teacher: Tensor, temperature: float, dim: int) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) in nats, summed over `dim`."""
    target = torch.log_softmax(teacher.detach().float() / temperature, dim)
    logits = torch.log_softmax(student.float() / temperature, dim)
    return temperature**2 * functional.kl_div(logits, target, reduction="none", log_target=True).sum(dim)
