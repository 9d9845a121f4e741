"""Review: crops to label, the labels as a data set, and the model's error in the field."""

import random
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.background import BackgroundTask
from trap_contract.topics import NAME_PATTERN, TrapAddress

from trap_server import queries
from trap_server.accounts.audit_log import record
from trap_server.api.access import Connection, NowMs, Number, Writing
from trap_server.api.entry import Operator
from trap_server.review import labels
from trap_server.review.field_error import LEAST_LABELS
from trap_server.review.yolo import write_yolo

FIVE = ("Female", "Male", "Incomplete", "Out of Focus", "Undefined")

router = APIRouter(prefix="/api/v1/review")

ClassName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


class CropAnswer(BaseModel):
    """One crop that waits for a label; `box` is centre x, centre y, width, height of the picture, 0 to 1."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    tenant: str
    trap: str
    predicted: str
    score: float
    scores: dict[str, float]
    reason: str
    wall_ms: int
    box: tuple[float, float, float, float]
    jpeg: Annotated[str, Field(description="path of the picture")] = ""


class QueueAnswer(BaseModel):
    """What to label next, and the classes to choose from."""

    crops: list[CropAnswer]
    waiting: int
    classes: list[str]
    labels: Annotated[dict[str, int], Field(description="labels there are; an empty name is no insect")]


class LabelBody(BaseModel):
    """What a person sees on a crop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop: Annotated[int, Field(ge=1, le=2**53 - 1)]
    label: Annotated[ClassName | None, Field(description="a class, or null: no insect")]


class LabelAnswer(BaseModel):
    """The stored label."""

    id: int


class ErrorAnswer(BaseModel):
    """What one model takes for what, from labels of crops drawn at random."""

    model_sha256: str
    classes: list[str]
    matrix: Annotated[
        dict[str, dict[str, int]],
        Field(description="by predicted class, how many are what; an empty name is no insect"),
    ]
    enough: Annotated[bool, Field(description=f"at least {LEAST_LABELS} labels of each predicted class")]


@router.get("/queue")
def queue(
    connection: Connection,
    order: labels.Order = "uncertain",
    trap: Annotated[str | None, Query(pattern=f"^{NAME_PATTERN}/{NAME_PATTERN}$", description="TENANT/TRAP")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> QueueAnswer:
    """Crops without a label: uncertain ones first, a random sample, or the newest."""
    address = None if trap is None else TrapAddress(*trap.split("/"))
    crops, waiting = labels.queue(connection, order, address, limit, random.Random())  # noqa: S311  a sample, no secret
    answers = [CropAnswer.model_validate(crop) for crop in crops]
    return QueueAnswer(
        crops=[one.model_copy(update={"jpeg": f"/api/v1/evidence/{one.id}.jpg"}) for one in answers],
        waiting=waiting,
        classes=classes_of(connection),
        labels={name or "": count for name, count in labels.counts(connection).items()},
    )


@router.post("/labels", status_code=201)
def add_label(operator: Operator, body: LabelBody, writing: Writing, now_ms: NowMs) -> LabelAnswer:
    """Label a crop; a label that is there is replaced."""
    number = labels.label(writing, body.crop, body.label, operator.signature, now_ms)
    record(writing, operator, now_ms, "review.label", number, crop=body.crop, label=body.label)
    return LabelAnswer(id=number)


@router.delete("/labels/{number}", status_code=204)
def remove_label(operator: Operator, number: Number, writing: Writing, now_ms: NowMs) -> None:
    """Take a label back."""
    labels.take_back(writing, number)
    record(writing, operator, now_ms, "review.take_back", number)


@router.get("/dataset.zip", response_class=Response)
def dataset(connection: Connection) -> FileResponse:
    """All labels as a YOLO data set, which `trap-data import` reads."""
    folder = tempfile.TemporaryDirectory(prefix="zancudo-")
    file = Path(folder.name) / "labels.zip"
    write_yolo(file, labels.pictures(connection), classes_of(connection))
    return FileResponse(file, filename="zancudo-labels.zip", background=BackgroundTask(folder.cleanup))


@router.get("/error")
def error(connection: Connection) -> list[ErrorAnswer]:
    """The confusion matrix of each model in the field."""
    return [_error(connection, model) for model in labels.models(connection)]


def _error(connection: Connection, model: str) -> ErrorAnswer:
    found = labels.field_error(connection, model)
    return ErrorAnswer(
        model_sha256=model,
        classes=found.classes,
        matrix={said: {name or "": n for name, n in row.items()} for said, row in found.matrix.items()},
        enough=all(found.labels_of(name) >= LEAST_LABELS for name in found.matrix),
    )


def classes_of(connection: Connection) -> list[str]:
    """The classes of every model in the field and of every label, the five of a sexing model first."""
    told = {name for birth in queries.births(connection) for name in birth.classes}
    said = {name for name in labels.counts(connection) if name is not None}
    known = told | said
    first = [name for name in FIVE if name in known]
    return [*first, *sorted(known - set(first))]
