"""What a YOLO head says, in one form for every family: the tensors that distillation compares."""

from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Taps:
    """Raw head outputs of a batch of B pictures, for A anchors over all levels.

    cls_logits: (B, classes, A). box_logits: (B, 4, bins, A), the logits of the distance distribution of each side; one
    bin where a head (YOLO26) has plain distances. maps: the neck's maps (B, channels, height, width), finest first.
    shallow: where they were captured, the backbone's last maps of the same sizes.
    """

    cls_logits: Tensor
    box_logits: Tensor
    maps: tuple[Tensor, ...]
    shallow: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, output: Any) -> Self:
        """The taps of what a model returned, in training or evaluation mode; of two branches the one-to-many one."""
        raw = output[1] if isinstance(output, tuple) else output
        raw = raw.get("one2many", raw)
        boxes = raw["boxes"]
        count, channels, anchors = boxes.shape
        return cls(raw["scores"], boxes.view(count, 4, channels // 4, anchors), tuple(raw["feats"]))

    def detached(self) -> Self:
        """The same numbers, through which nothing is learnt."""
        maps = tuple(tap.detach() for tap in self.maps)
        return type(self)(self.cls_logits.detach(), self.box_logits.detach(), maps)

    @property
    def shallower(self) -> Self:
        """The same with the backbone's maps in place of the neck's."""
        return replace(self, maps=self.shallow)

    @property
    def scores(self) -> Tensor:
        """The best class probability of each anchor: (B, A)."""
        return self.cls_logits.float().sigmoid().amax(dim=1)

    def level_scores(self) -> list[Tensor]:
        """The best class probability of every cell of each map: (B, 1, height, width)."""
        parts = self.scores.split([tap.shape[-2] * tap.shape[-1] for tap in self.maps], dim=1)
        return [part.view(-1, 1, *tap.shape[-2:]) for part, tap in zip(parts, self.maps, strict=True)]


@dataclass(frozen=True, slots=True)
class Positives:
    """Which anchors the task loss holds responsible for an insect.

    targets: (B, A, classes), the assigner's soft targets, zero elsewhere. mask: (B, A).
    """

    targets: Tensor
    mask: Tensor

    @property
    def weights(self) -> Tensor:
        """Weight of each anchor in the task's own box loss: (B, A)."""
        return self.targets.sum(dim=-1)

    @property
    def classes(self) -> Tensor:
        """The class of each positive anchor, in the order of `mask`: (positives,)."""
        return self.targets.argmax(dim=-1)[self.mask]


class RecordingAssigner(nn.Module):  # type: ignore[misc]
    """Ultralytics' assigner, remembering its last answer, so that no anchor is assigned twice."""

    def __init__(self, assigner: nn.Module) -> None:
        super().__init__()
        self.assigner = assigner
        self.last: Positives | None = None

    def forward(self, *args: Any, **keywords: Any) -> Any:
        """Assign, and keep targets and mask."""
        answer = self.assigner(*args, **keywords)
        self.last = Positives(answer[2].detach(), answer[3].bool())
        return answer


def recording_assigner(criterion: Any) -> RecordingAssigner:
    """The recording assigner of a detection criterion, put there at the first call."""
    loss = getattr(criterion, "one2many", criterion)
    if not isinstance(loss.assigner, RecordingAssigner):
        loss.assigner = RecordingAssigner(loss.assigner)
    return loss.assigner
