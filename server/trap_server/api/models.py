"""Models that traps say they count with."""

from collections.abc import Iterable

from fastapi import APIRouter
from pydantic import BaseModel

from trap_server import queries
from trap_server.api.access import Connection
from trap_server.trap_record import TrapRecord

router = APIRouter(prefix="/api/v1")


class ModelUserAnswer(BaseModel):
    """A trap, and how it runs the model."""

    tenant: str
    trap: str
    backend: str
    threshold: float


class ModelAnswer(BaseModel):
    """One model file, told by its digest, and the traps that counted with it at their last connect."""

    id: str
    sha256: str
    classes: list[str]
    traps: list[ModelUserAnswer]


@router.get("/models")
def models(connection: Connection) -> list[ModelAnswer]:
    """Every model in use, by id and digest."""
    return list(_models(queries.trap_records(connection)).values())


def _models(records: Iterable[TrapRecord]) -> dict[tuple[str, str], ModelAnswer]:
    found: dict[tuple[str, str], ModelAnswer] = {}
    births = [(record, record.birth_content) for record in records if record.birth]
    for record, birth in sorted(births, key=lambda one: (one[1]["model"]["id"], one[1]["model"]["sha256"])):
        model = birth["model"]
        answer = found.setdefault(
            (model["id"], model["sha256"]),
            ModelAnswer(id=model["id"], sha256=model["sha256"], classes=birth["classes"], traps=[]),
        )
        user = {"backend": model["backend"], "threshold": model["threshold"]}
        answer.traps.append(ModelUserAnswer(tenant=record.tenant, trap=record.trap, **user))
    return found
