"""Deployments: where each trap stood, with what bait, and when."""

from dataclasses import asdict
from typing import Annotated, Self

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from trap_server import deployments
from trap_server.accounts.audit_log import record
from trap_server.api.access import (
    After,
    CalendarMs,
    Connection,
    FilledLine,
    Limit,
    Line,
    NameText,
    NowMs,
    Number,
    Writing,
)
from trap_server.api.entry import Operator
from trap_server.nights import Deployment

router = APIRouter(prefix="/api/v1/deployments")


class DeploymentBody(BaseModel):
    """One stay of one trap at one site."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: NameText
    trap: NameText
    site: Annotated[FilledLine, Field(description="code of the place: locationID in exports")]
    name: Annotated[Line, Field(description="of the place, for people")] = ""
    latitude: Annotated[float | None, Field(ge=-90, le=90, description="degrees, WGS84; with longitude or not")] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180, description="degrees, WGS84")] = None
    timezone: Annotated[Line, Field(max_length=64, description="IANA name, as Africa/Nairobi; empty: by the sun")] = ""
    bait: Line = ""
    trap_type: Line = ""
    begins_ms: CalendarMs
    ends_ms: Annotated[CalendarMs | None, Field(description="null: it still stands")] = None

    def deployment(self) -> Deployment:
        """The pure one. Raises ConfigError for what can't be."""
        return Deployment(**self.model_dump())


class DeploymentAnswer(DeploymentBody):
    """A stored deployment."""

    id: int

    @classmethod
    def of(cls, number: int, stored: Deployment) -> Self:
        """With its number."""
        return cls(id=number, **asdict(stored))


class DeploymentsAnswer(BaseModel):
    """Deployments in the order in which they were entered, and where to go on."""

    deployments: list[DeploymentAnswer]
    next_cursor: int | None


def find_deployment(number: Number, connection: Connection) -> DeploymentAnswer:
    """The deployment of this number; 404 when there is none."""
    found = deployments.deployment(connection, number)
    if found is None:
        raise HTTPException(404, f"there is no deployment {number}; see /api/v1/deployments")
    return DeploymentAnswer.of(number, found)


Found = Annotated[DeploymentAnswer, Depends(find_deployment)]


@router.get("")
def list_deployments(
    *,
    connection: Connection,
    tenant: NameText | None = None,
    trap: NameText | None = None,
    at_ms: Annotated[int | None, Query(ge=0, description="only those that stood then")] = None,
    cursor: After = 0,
    limit: Limit = 100,
) -> DeploymentsAnswer:
    """Where traps stood or stand."""
    found = deployments.deployments(connection, tenant=tenant, trap=trap, at_ms=at_ms, after=cursor, limit=limit)
    answers = [DeploymentAnswer.of(number, one) for number, one in found.items()]
    return DeploymentsAnswer(deployments=answers, next_cursor=answers[-1].id if len(answers) == limit else None)


@router.post("", status_code=201)
def add_deployment(body: DeploymentBody, operator: Operator, writing: Writing, now_ms: NowMs) -> DeploymentAnswer:
    """Say where a trap stands; nights and exports follow at once."""
    new = body.deployment()
    number = deployments.add(writing, new)
    record(writing, operator, now_ms, "deployments.add", number, **asdict(new))
    return DeploymentAnswer.of(number, new)


@router.get("/{number}")
def one_deployment(found: Found) -> DeploymentAnswer:
    """One deployment."""
    return found


@router.put("/{number}")
def change_deployment(
    operator: Operator, found: Found, body: DeploymentBody, writing: Writing, now_ms: NowMs
) -> DeploymentAnswer:
    """Mend it, or end it by `ends_ms`."""
    new = body.deployment()
    deployments.replace(writing, found.id, new)
    record(writing, operator, now_ms, "deployments.change", found.id, before=found.model_dump(), after=asdict(new))
    return DeploymentAnswer.of(found.id, new)


@router.delete("/{number}", status_code=204)
def remove_deployment(operator: Operator, found: Found, writing: Writing, now_ms: NowMs) -> None:
    """Take back one that never was; one that is over gets an end instead."""
    deployments.remove(writing, found.id)
    record(writing, operator, now_ms, "deployments.remove", found.id, before=found.model_dump())
