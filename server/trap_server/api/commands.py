"""Commands to traps, and their answers."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, status
from pydantic import BaseModel, ConfigDict, Field
from trap_contract.topics import TrapAddress

from trap_server import orders
from trap_server.accounts.audit_log import record
from trap_server.api.access import Connection, NowMs, Trap, Writing
from trap_server.api.entry import Operator
from trap_server.orders import Order, OrderName, OrderState

router = APIRouter(prefix="/api/v1/traps/{tenant}/{trap}/commands")

MOST_TTL_S = 7 * 24 * 3600
CURSOR = r"^\d{1,15}:[0-9a-f]{32}$"


class CommandBody(BaseModel):
    """What a trap shall do."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: OrderName
    ttl_s: Annotated[int, Field(ge=10, le=MOST_TTL_S, description="seconds after which it must not be done")] = 600


class CommandAnswer(BaseModel):
    """A command, and what became of it."""

    id: str
    name: str
    created_ms: int
    expires_ms: int
    sent_ms: Annotated[int | None, Field(description="null: it waits for ingest to send it")]
    state: Annotated[OrderState, Field(description="the last word of the trap; expired without a text: none came")]
    text: str
    answered_ms: int | None

    @classmethod
    def of(cls, order: Order) -> "CommandAnswer":
        """As it is stored."""
        return cls.model_validate({name: value for name, value in asdict(order).items() if name in cls.model_fields})


class CommandsAnswer(BaseModel):
    """A page of commands."""

    commands: list[CommandAnswer]
    next_cursor: str | None


@router.post("", status_code=status.HTTP_202_ACCEPTED)
def send_command(
    operator: Operator, found: Trap, body: CommandBody, connection: Writing, now_ms: NowMs
) -> CommandAnswer:
    """Send a command; the answer comes later, under its id. A snapshot comes as evidence of the same id."""
    address = TrapAddress(found.tenant, found.trap)
    number = orders.request(connection, address, body.name, now_ms=now_ms, ttl_s=body.ttl_s)
    record(connection, operator, now_ms, "commands.send", f"{found.tenant}/{found.trap}", id=number, name=body.name)
    kept = orders.order(connection, address, number, now_ms)
    assert kept is not None
    return CommandAnswer.of(kept)


@router.get("")
def commands(
    *,
    found: Trap,
    connection: Connection,
    now_ms: NowMs,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(pattern=CURSOR, description="next_cursor of the last page")] = None,
) -> CommandsAnswer:
    """Commands to a trap, with their answers, the newest first."""
    before = None if cursor is None else cursor.split(":")
    place = None if before is None else (int(before[0]), before[1])
    sent = orders.orders(connection, TrapAddress(found.tenant, found.trap), now_ms, limit, place)
    last = sent[-1] if len(sent) == limit else None
    return CommandsAnswer(
        commands=[CommandAnswer.of(one) for one in sent],
        next_cursor=f"{last.created_ms}:{last.id}" if last else None,
    )


@router.get("/{number}", responses={404: {"description": "no such command to this trap"}})
def one_command(
    found: Trap, number: Annotated[str, Path(pattern="^[0-9a-f]{32}$")], connection: Connection, now_ms: NowMs
) -> CommandAnswer:
    """One command, with its answer."""
    sent = orders.order(connection, TrapAddress(found.tenant, found.trap), number, now_ms)
    if sent is None:
        raise HTTPException(404, f"no command {number} was sent to trap {found.trap!r}")
    return CommandAnswer.of(sent)
