"""A study: several ways to train one student, with several seeds, compared on pictures that none has seen."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from trap_training.recipe import Augmentation, Distillation, Network, Optimisation, Strict, model_seen_from, read_plan

Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]*$")]
TEACHER = "teacher"


class PseudoLabels(Strict):
    """The teacher's own findings as labels: kept above `confidence`, on the pictures of a place of the data set."""

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.40
    pictures: str = "unlabelled"
    share: Annotated[float, Field(gt=0)] = 1.0
    """Pseudo-labelled pictures for each labelled one, at most."""
    instead: bool = False
    """Whether they take the place of the labelled pictures, rather than join them."""


class Arm(Strict):
    """One way to train: a network from the start, another arm's student trained on, or both.

    With both, the network begins with what has the same name and shape in that student: one with another activation
    goes on where the student stopped.
    """

    model: Annotated[str, Field(pattern=r"\.(ya?ml|pt)$")] | None = None
    start: Name | None = None
    epochs: Annotated[int, Field(ge=1)]
    lr0: Annotated[float, Field(gt=0)] | None = None
    warmup_epochs: Annotated[float, Field(ge=0)] | None = None
    distillation: Distillation | None = None
    pseudo_labels: PseudoLabels | None = None
    stored_views: bool = True

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.model is None and self.start is None:
            raise ValueError("give model, start, or both")
        if self.distillation is not None and self.distillation.scheme != "offline":
            raise ValueError("a study compares offline distillation; run other schemes as recipes")
        return self


class Comparison(Strict):
    """Two arms, or more of the same `a`, whose difference a minus b is reported with an interval."""

    a: Name
    b: Name


class Study(Strict):
    """What `trap-train study` does."""

    name: Name
    question: str
    data: Path
    test: str = "test"
    imgsz: Annotated[int, Field(ge=32)] = 224
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0, 1, 2)
    teacher: Network
    arms: Annotated[dict[Name, Arm], Field(min_length=1)]
    comparisons: tuple[Comparison, ...] = ()
    optimisation: Optimisation = Optimisation()
    augmentation: Augmentation = Augmentation()

    @field_validator("arms")
    @classmethod
    def _come_in_order(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        known: set[str] = set()
        for name, arm in arms.items():
            if arm.start is not None and arm.start not in known:
                raise ValueError(f"{name} starts from {arm.start!r}, which no arm above it is")
            known.add(name)
        return arms

    @model_validator(mode="after")
    def _compares_arms(self) -> Self:
        for pair in self.comparisons:
            if unknown := {pair.a, pair.b} - set(self.arms):
                raise ValueError(f"comparisons name {', '.join(sorted(unknown))}, which is no arm")
        return self

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a study; `data` and models with a folder are relative to the study's own folder.

        Raises ConfigError naming the key that is wrong.
        """
        study = read_plan(cls, file, "study")
        here = file.parent
        arms = {
            name: arm.model_copy(update={"model": arm.model and model_seen_from(arm.model, here)})
            for name, arm in study.arms.items()
        }
        return study.model_copy(
            update={"data": here / study.data, "teacher": study.teacher.seen_from(here), "arms": arms}
        )

    def depth(self, arm: str) -> int:
        """How many arms this one goes on from, one after the other."""
        start = self.arms[arm].start
        return 0 if start is None else 1 + self.depth(start)
