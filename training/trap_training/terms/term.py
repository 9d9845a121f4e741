"""What every term has: a weight over the epochs, the pair it compares, and adapters where it needs some."""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from trap_contract.errors import ConfigError

from trap_training.taps import Positives, Taps

Levels = Annotated[tuple[Literal[3, 4, 5], ...], Field(min_length=1)]
Temperature = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]


class Schedule(BaseModel):
    """The share of a term's weight at each epoch: a linear rise over `warmup` epochs, then a cosine down to `final`.

    With `mosaic_only` it is zero in the last epochs, when mosaics are off and the student fits real pictures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    warmup: Annotated[float, Field(ge=0)] = 0.0
    final: Annotated[float, Field(ge=0)] = 1.0
    mosaic_only: bool = False

    def share(self, epoch: int, epochs: int, close_mosaic: int) -> float:
        """The share at `epoch`, counted from 0, of so many epochs, the last `close_mosaic` of them without mosaic."""
        if self.mosaic_only and epoch >= epochs - close_mosaic:
            return 0.0
        rise = min(1.0, (epoch + 1) / (self.warmup + 1))
        progress = epoch / max(1, epochs - 1)
        return rise * (self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2)


class Term(BaseModel):
    """One thing that a teacher teaches; subclasses say what."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: Weight = 1.0
    schedule: Schedule = Schedule()

    uses_maps: ClassVar[bool] = False
    """Whether the neck's maps are compared, which stored teacher outputs then must hold."""
    learns: ClassVar[bool] = False
    """Whether the term has layers of its own to train, which bring the student's maps to the teacher's."""

    from_within: ClassVar[bool] = False
    """Whether the student's own deep maps teach its shallow ones, so that no teacher is asked."""

    @property
    def name(self) -> str:
        """The term's name in recipes, logs and reports."""
        return str(getattr(self, "term"))  # noqa: B009 - each subclass has its own literal

    def adapters(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> nn.ModuleList:
        """Layers that bring the student's maps, of so many channels a level, to the teacher's; none by default."""
        del student, teacher
        return nn.ModuleList()

    def fault(self, classes: int, bins: int) -> str | None:
        """Why this term means nothing for a student of so many classes and distance bins, or None."""
        del classes, bins
        return None

    def loss(self, student: Taps, teacher: Taps, positives: Positives, adapters: nn.ModuleList) -> Tensor:
        """A scalar, unweighted; the teacher's taps learn nothing from it."""
        raise NotImplementedError


class MapTerm(Term):
    """A term over neck maps, on the levels it names."""

    uses_maps: ClassVar[bool] = True

    levels: Levels = (3, 4, 5)

    @model_validator(mode="after")
    def _levels_once(self) -> Self:
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(f"a level is named twice: {self.levels}")
        return self

    def places(self, count: int) -> list[int]:
        """Where its levels lie among the head's `count` inputs, whose coarsest is level 5 (stride 32).

        Raises ConfigError when the head has none of them.
        """
        found = [level - 6 + count for level in self.levels if level - 6 + count >= 0]
        if not found:
            raise ConfigError(f"{self.name}: the head has levels {6 - count} to 5, none of {self.levels}: name others")
        return found


class AdaptedMapTerm(MapTerm):
    """A map term whose student maps pass a 1x1 convolution where the teacher has another number of channels."""

    learns: ClassVar[bool] = True

    def adapters(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> nn.ModuleList:
        """One adapter for each of its levels."""
        pairs = [(student[place], teacher[place]) for place in self.places(len(student))]
        return nn.ModuleList(nn.Identity() if a == b else nn.Conv2d(a, b, 1) for a, b in pairs)

    def loss(self, student: Taps, teacher: Taps, positives: Positives, adapters: nn.ModuleList) -> Tensor:
        """The mean over levels of `map_loss`."""
        del positives
        places = self.places(len(student.maps))
        pairs = zip(adapters, places, strict=True)
        losses = [self.map_loss(adapter(student.maps[place]), teacher.maps[place]) for adapter, place in pairs]
        return sum(losses[1:], losses[0]) / len(losses)

    def map_loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        """A scalar for two maps of one shape (B, channels, height, width)."""
        raise NotImplementedError
