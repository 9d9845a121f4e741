"""A recipe: everything that decides what a training run makes."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from trap_contract.errors import ConfigError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(_Strict):
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
        """The network with a model path taken from this folder; a bare name is one of Ultralytics' own."""
        is_bare = Path(self.model).name == self.model
        return self if is_bare else self.model_copy(update={"model": str(folder / self.model)})


class Distillation(_Strict):
    """Weights of the terms that the teacher adds to the student's loss; 0 leaves a term out."""

    response: Annotated[float, Field(ge=0)] = 1.0
    feature: Annotated[float, Field(ge=0)] = 6.0


class Optimisation(_Strict):
    """How weights move; the optimizer is always named, because Ultralytics' `auto` depends on the run's length."""

    batch: Annotated[int, Field(ge=1)] = 16
    optimizer: Literal["SGD", "Adam", "AdamW", "NAdam", "RAdam", "RMSProp"] = "AdamW"
    lr0: Annotated[float, Field(gt=0)] = 0.002
    lrf: Annotated[float, Field(gt=0, le=1)] = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0005
    warmup_epochs: Annotated[float, Field(ge=0)] = 3.0
    cos_lr: bool = False


class Augmentation(_Strict):
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


class Recipe(_Strict):
    """One run: an optional teacher, a student, and what the student learns from."""

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]*$")]
    data: Path
    imgsz: Annotated[int, Field(ge=32)] = 224
    seed: Annotated[int, Field(ge=0)] = 0
    teacher: Network | None = None
    student: Network
    distillation: Distillation | None = None
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
        if value is not None and info.data.get("teacher") is None:
            raise ValueError("needs a teacher: add one, or remove distillation")
        return value

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a recipe; `data` and models with a folder are relative to the recipe's own folder.

        Raises ConfigError naming the key that is wrong.
        """
        try:
            content = yaml.safe_load(file.read_text())
            recipe = cls.model_validate(content)
        except OSError as error:
            raise ConfigError(f"{file}: no such recipe: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: not YAML: {error}") from error
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            place = ".".join(map(str, fault["loc"])) or "its start"
            raise ConfigError(f"{file}: recipe is wrong at {place}: {fault['msg']}") from error
        here = file.parent
        networks = {
            "teacher": recipe.teacher and recipe.teacher.seen_from(here),
            "student": recipe.student.seen_from(here),
        }
        return recipe.model_copy(update={"data": here / recipe.data, **networks})
