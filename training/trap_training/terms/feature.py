"""Terms over the neck's maps: how the teacher sees the picture."""

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from trap_training.taps import Positives, Taps
from trap_training.terms.response import softmax_divergence
from trap_training.terms.term import AdaptedMapTerm, MapTerm, Temperature, Weight


class Hint(AdaptedMapTerm):
    """Mean squared error of maps (FitNets, arXiv 1412.6550, eq. 3)."""

    term: Literal["hint"] = "hint"

    def map_loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Mean of the squared differences."""
        return functional.mse_loss(student.float(), teacher.detach().float())


class ChannelWise(AdaptedMapTerm):
    """Where each channel looks: its softmax over positions (CWD, arXiv 2011.13256, eq. 4)."""

    term: Literal["cwd"] = "cwd"
    temperature: Temperature = 2.0

    def map_loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        """T^2 KL over positions, mean over channels and pictures."""
        return softmax_divergence(student.flatten(2), teacher.flatten(2), self.temperature, dim=2).mean()


class _Correlation(AdaptedMapTerm):
    """One minus the correlation of each channel (PKD, arXiv 2207.02039, eq. 5)."""

    def map_loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Half the squared error of maps standardised a channel over pictures and positions."""
        return functional.mse_loss(_standardised(student), _standardised(teacher.detach())) / 2


class Pearson(_Correlation):
    """The teacher's neck teaches the student's, by correlation."""

    term: Literal["pkd"] = "pkd"


class DeepToShallow(_Correlation):
    """The neck's maps teach the backbone's of the same size (be your own teacher, arXiv 1905.08094), by correlation."""

    from_within: ClassVar[bool] = True
    uses_maps: ClassVar[bool] = False

    term: Literal["deep_to_shallow"] = "deep_to_shallow"


class Native(MapTerm):
    """Ultralytics' own term: L2 after a projector of two 1x1 convolutions, weighted by the teacher's best score."""

    learns: ClassVar[bool] = True

    term: Literal["native"] = "native"
    weight: Weight = 6.0

    def adapters(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> nn.ModuleList:
        """None of its own: the wrapper hands it Ultralytics' projector."""
        del student, teacher
        return nn.ModuleList()

    def loss(self, student: Taps, teacher: Taps, positives: Positives, adapters: nn.ModuleList) -> Tensor:
        """The sum over levels of the weighted mean squared error (ultralytics 8.4, nn/distill_model.py)."""
        del positives
        teacher = teacher.detached()
        scores = teacher.level_scores()
        losses = [
            native_loss(adapters[place](student.maps[place]), teacher.maps[place], scores[place])
            for place in self.places(len(student.maps))
        ]
        return sum(losses[1:], losses[0])


def native_loss(student: Tensor, teacher: Tensor, scores: Tensor) -> Tensor:
    """Squared differences of maps (B, channels, height, width) weighted by scores (B, 1, height, width), a scalar."""
    squares = functional.mse_loss(student.float(), teacher.float(), reduction="none")
    return (squares * scores).sum() / (scores.sum() * student.shape[1] + 1e-9)


def _standardised(maps: Tensor) -> Tensor:
    maps = maps.float()
    centred = maps - maps.mean(dim=(0, 2, 3), keepdim=True)
    # Inside the root: a channel that is zero everywhere, as a ReLU's may be, would have NaN for a gradient.
    return centred / (centred.square().mean(dim=(0, 2, 3), keepdim=True) + 1e-8).sqrt()
