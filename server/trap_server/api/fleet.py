"""The fleet tonight, as its page shows it."""

from fastapi import APIRouter, HTTPException
from trap_contract.topics import TrapAddress

from trap_server import queries, tonight
from trap_server.answers import FleetAnswer
from trap_server.api.access import Connection, NameText, NowMs

router = APIRouter(prefix="/api/v1")


@router.get("/fleet")
def fleet(
    connection: Connection, now_ms: NowMs, tenant: NameText | None = None, trap: NameText | None = None
) -> FleetAnswer:
    """Every trap tonight, or one: state, counts, coverage, completeness, battery, last picture."""
    if (tenant is None) != (trap is None):
        raise HTTPException(422, "give tenant and trap, or neither")
    only = None if tenant is None or trap is None else [TrapAddress(tenant, trap)]
    newest_id = queries.newest_id(connection)
    return FleetAnswer(now_ms=now_ms, newest_id=newest_id, rows=tonight.fleet_rows(connection, now_ms, only))
