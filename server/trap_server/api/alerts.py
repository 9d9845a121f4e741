"""Alerts: what is or was wrong with a trap, and who has seen it."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from trap_contract.errors import ConfigError

from trap_server.accounts.audit_log import record
from trap_server.alerting import keeping
from trap_server.alerting.engine import State
from trap_server.alerting.rules import Kind
from trap_server.api.access import Before, Connection, Limit, NameText, NowMs, Number, Writing
from trap_server.api.entry import Operator

router = APIRouter(prefix="/api/v1/alerts")


class AlertAnswer(BaseModel):
    """One thing wrong with one trap, from when to when."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    tenant: str
    trap: str
    kind: Kind
    state: State
    opened_ms: int
    text: str
    value: float | None
    closed_ms: int | None
    acknowledged_ms: int | None
    acknowledged_by: str | None


class AlertsAnswer(BaseModel):
    """Alerts, newest first, and where to go on."""

    alerts: list[AlertAnswer]
    next_cursor: int | None


@router.get("")
def list_alerts(
    *,
    connection: Connection,
    state: Annotated[State | None, Query(description="only these")] = None,
    tenant: NameText | None = None,
    trap: NameText | None = None,
    cursor: Before = None,
    limit: Limit = 100,
) -> AlertsAnswer:
    """Alerts, closed ones too; `trap-server watch` opens and closes them."""
    found = keeping.alerts(connection, limit, state=state, tenant=tenant, trap=trap, before=cursor)
    answers = [AlertAnswer.model_validate(one) for one in found]
    return AlertsAnswer(alerts=answers, next_cursor=answers[-1].id if len(answers) == limit else None)


@router.post("/{number}/acknowledge")
def acknowledge_alert(number: Number, operator: Operator, writing: Writing, now_ms: NowMs) -> AlertAnswer:
    """Say that somebody has seen it; who was first stays."""
    try:
        alert = keeping.acknowledge(writing, number, operator.signature, now_ms)
    except ConfigError as error:
        raise HTTPException(404, str(error)) from error
    record(writing, operator, now_ms, "alerts.acknowledge", number)
    return AlertAnswer.model_validate(alert)
