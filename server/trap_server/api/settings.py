"""What is set on a trap from afar, and what the trap says of it."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from trap_contract.messages import Value
from trap_contract.topics import TrapAddress

from trap_server import wanted
from trap_server.accounts.audit_log import record
from trap_server.api.access import Connection, NowMs, Trap, Writing
from trap_server.api.entry import Operator
from trap_server.trap_record import TrapRecord
from trap_server.wanted import Wanted

router = APIRouter(prefix="/api/v1/traps/{tenant}/{trap}/settings")


class SettingsBody(BaseModel):
    """All that shall be set on a trap; what is not named is as its own file says."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    settings: Annotated[
        dict[Annotated[str, Field(pattern="^[a-z_]{1,32}$")], Annotated[Value, Field(union_mode="left_to_right")]],
        Field(max_length=20),
    ]


class SettingsAnswer(BaseModel):
    """What is wanted of a trap, which version it heard last, and what is in force there."""

    version: Annotated[int | None, Field(description="of what is wanted; null: nothing ever was")]
    state: Annotated[wanted.State, Field(description="waiting: the trap has not heard of this version yet")]
    settings: dict[str, Value]
    changed_ms: int | None
    changed_by: str | None
    told_ms: Annotated[int | None, Field(description="null: it waits for ingest to tell it")]
    heard_version: Annotated[int | None, Field(description="as the trap told last; null: none")]
    refused: Annotated[str, Field(description="why the trap does not follow the version it heard; empty: it does")]
    in_force: dict[str, Value]

    @classmethod
    def of(cls, found: TrapRecord, kept: Wanted | None) -> "SettingsAnswer":
        """Assemble from what is stored."""
        birth = found.birth_content
        return cls(
            version=kept.version if kept else None,
            state=wanted.state_of(kept, birth),
            settings=kept.settings if kept else {},
            changed_ms=kept.changed_ms if kept else None,
            changed_by=kept.changed_by if kept else None,
            told_ms=kept.told_ms if kept else None,
            heard_version=birth.get("settings_version"),
            refused=birth.get("settings_refused", ""),
            in_force=birth.get("settings", {}),
        )


@router.get("")
def read_settings(found: Trap, connection: Connection) -> SettingsAnswer:
    """What is set on a trap from afar, and whether it follows."""
    return SettingsAnswer.of(found, wanted.wanted(connection, TrapAddress(found.tenant, found.trap)))


@router.put("")
def set_settings(
    operator: Operator, found: Trap, body: SettingsBody, connection: Writing, now_ms: NowMs
) -> SettingsAnswer:
    """Set these and nothing else; the trap is told at once, or at its next connect."""
    address = TrapAddress(found.tenant, found.trap)
    kept = wanted.want(connection, address, body.settings, by=operator.signature, now_ms=now_ms)
    details = {"version": kept.version, "settings": kept.settings}
    record(connection, operator, now_ms, "settings.want", f"{found.tenant}/{found.trap}", **details)
    return SettingsAnswer.of(found, kept)
