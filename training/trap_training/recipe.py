"""A recipe: everything that decides what a training run makes."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from trap_contract.errors import ConfigError

from trap_training.networks import network_file
from trap_training.terms import AnyTerm, Schedule
from trap_training.terms.feature import Pearson
from trap_training.terms.localisation import Localisation
from trap_training.terms.response import Response

Plan = TypeVar("Plan", bound=BaseModel)

DEFAULT_TERMS: tuple[AnyTerm, ...] = (
    Response(weight=1.0),
    Localisation(weight=0.5, where="teacher"),
    Pearson(weight=1.0, schedule=Schedule(final=0.1)),
)


class Strict(BaseModel):
    """Frozen, and refusing keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(Strict):
    """A model YAML (from scratch) or a checkpoint (trained further); a checkpoint of 0 epochs is used as it is."""

    model: Annotated[str, Field(pattern=r"\.(ya?ml|pt)$")]
    epochs: Annotated[int, Field(ge=0)]

    @field_validator("epochs")
    @classmethod
    def _untrained_is_a_checkpoint(cls, value: int, info: Any) -> int:
        if value == 0 and not str(info.data.get("model")).endswith(".pt"):
            raise ValueError("0 epochs need a trained checkpoint (.pt): a model YAML knows nothing yet")
        return value

    def seen_from(self, folder: Path) -> Self:
        """The network with its model as a path seen from this folder."""
        return self.model_copy(update={"model": model_seen_from(self.model, folder)})


class Distillation(Strict):
    """How the student is taught: by whom (`scheme`), how often (`rounds`), and what (`terms`).

    offline: a trained teacher. average: the student's own moving average. born_again: each generation by the one
    before. co_distillation: student and teacher network in turn, each by the other's last round. mutual: both at once,
    on the same batches. within: nobody; deep layers teach shallow ones.
    """

    scheme: Literal["offline", "average", "born_again", "co_distillation", "mutual", "within"] = "offline"
    rounds: Annotated[int, Field(ge=1)] = 1
    terms: Annotated[tuple[AnyTerm, ...], Field(min_length=1)] = DEFAULT_TERMS

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [term.name for term in self.terms]
        if len(set(names)) < len(names):
            raise ValueError(f"a term is given twice: {', '.join(names)}")
        if self.rounds > 1 and self.scheme not in {"born_again", "co_distillation"}:
            raise ValueError(f"scheme {self.scheme} has one round: only born_again and co_distillation have several")
        if self.scheme == "within" and not all(term.from_within for term in self.terms):
            raise ValueError("scheme within has no teacher: its only term is deep_to_shallow")
        return self

    @property
    def needs_teacher(self) -> bool:
        """Whether a second network takes part."""
        return self.scheme not in {"average", "born_again", "within"}


class Optimisation(Strict):
    """How weights move; the optimizer is always named, because Ultralytics' `auto` depends on the run's length."""

    batch: Annotated[int, Field(ge=1)] = 16
    nbs: Annotated[int, Field(ge=1)] = 64  # pictures behind one step: gradients of smaller batches are added up
    optimizer: Literal["SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSProp"] = "AdamW"
    lr0: Annotated[float, Field(gt=0)] = 0.002
    lrf: Annotated[float, Field(gt=0, le=1)] = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0005
    warmup_epochs: Annotated[float, Field(ge=0)] = 3.0
    cos_lr: bool = False
    half: bool = False  # networks compute in bfloat16 where the processor has it, at twice the speed


class Augmentation(Strict):
    """Ultralytics' own augmentation; trap pictures have no up, so both flips are on.

    Turning by `degrees` takes the box of the turned box, which is looser than the insect and costs mAP50-95.
    """

    degrees: float = 0.0
    translate: float = 0.1
    scale: float = 0.3
    fliplr: float = 0.5
    flipud: float = 0.5
    hsv_h: float = 0.015
    hsv_s: float = 0.5
    hsv_v: float = 0.4
    mosaic: float = 1.0
    close_mosaic: Annotated[int, Field(ge=0)] = 5


class Recipe(Strict):
    """One run: an optional teacher, a student, and what the student learns from."""

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]*$")]
    data: Path
    imgsz: Annotated[int, Field(ge=32)] = 224
    seed: Annotated[int, Field(ge=0)] = 0
    teacher: Network | None = None
    student: Network
    distillation: Distillation | None = None
    stored_views: bool = False  # augment once, ask the teacher once, and read both back in later runs
    optimisation: Optimisation = Optimisation()
    augmentation: Augmentation = Augmentation()

    @field_validator("student")
    @classmethod
    def _is_trained(cls, value: Network) -> Network:
        if value.epochs == 0:
            raise ValueError("a student of 0 epochs learns nothing: give it epochs")
        return value

    @field_validator("distillation")
    @classmethod
    def _needs_teacher(cls, value: Distillation | None, info: Any) -> Distillation | None:
        teacher = info.data.get("teacher")
        if value is None:
            return value
        if teacher is None and value.needs_teacher:
            raise ValueError("needs a teacher: add one, or remove distillation")
        if teacher is not None and teacher.epochs == 0 and value.scheme == "co_distillation":
            raise ValueError("co_distillation trains the teacher too: give it epochs")
        return value

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a recipe; `data` and models with a folder are relative to the recipe's own folder.

        Raises ConfigError naming the key that is wrong.
        """
        recipe = read_plan(cls, file, "recipe")
        here = file.parent
        networks = {
            "teacher": recipe.teacher and recipe.teacher.seen_from(here),
            "student": recipe.student.seen_from(here),
        }
        return recipe.model_copy(update={"data": here / recipe.data, **networks})


def read_plan(kind: type[Plan], file: Path, what: str) -> Plan:
    """A YAML file as this kind of plan.

    Raises ConfigError naming the key that is wrong.
    """
    try:
        return kind.model_validate(yaml.safe_load(file.read_text()))
    except OSError as error:
        raise ConfigError(f"{file}: no such {what}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not YAML: {error}") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"])) or "its start"
        raise ConfigError(f"{file}: {what} is wrong at {place}: {fault['msg']}") from error


def model_seen_from(model: str, folder: Path) -> str:
    """Where a model lies: a bare name is one of ours or of Ultralytics', a path is relative to this folder."""
    if Path(model).name != model:
        return str(folder / model)
    own = network_file(model)
    return model if own is None else str(own)
