"""The newest window of each trap, in one query."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from trap_contract.messages import Semantics
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.trap_record import TrapRecord

FUTURE_MS = 5 * 60_000  # a window from beyond this has a broken clock; it is stored, and kept off the time axis

_T, _W = schema.traps.c, schema.windows.c


@dataclass(frozen=True, slots=True)
class Newest:
    """The window of a trap that began last."""

    start_ms: int
    end_ms: int
    semantics: Semantics
    model_id: str
    counts: dict[str, int] | None


def traps_with_newest(
    connection: sa.Connection, now_ms: int, only: Collection[TrapAddress] | None = None
) -> tuple[dict[TrapAddress, TrapRecord], dict[TrapAddress, Newest]]:
    """Every trap by name, or those of `only`, and its newest window: one step down the index for each."""
    mine = schema.windows.alias("mine")
    newest_id = (
        sa.select(mine.c.id)
        .where(mine.c.tenant == _T.tenant, mine.c.trap == _T.trap, mine.c.start_ms <= now_ms + FUTURE_MS)
        .order_by(mine.c.start_ms.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        sa.select(schema.traps, _W.start_ms, _W.duration_ms, _W.semantics, _W.model_id, _W.counts)
        .join_from(schema.traps, schema.windows, _W.id == newest_id, isouter=True)
        .where(*of_traps(only, _T.tenant, _T.trap))
        .order_by(_T.tenant, _T.trap)
    )
    records, newest = {}, {}
    for *columns, start_ms, duration_ms, semantics, model_id, counts in connection.execute(query):
        record = TrapRecord(*columns)
        address = TrapAddress(record.tenant, record.trap)
        records[address] = record
        if start_ms is not None:
            newest[address] = Newest(start_ms, start_ms + duration_ms, semantics, model_id, counts)
    return records, newest


def of_traps(only: Collection[TrapAddress] | None, tenant: Any, trap: Any) -> list[sa.ColumnElement[bool]]:
    """The condition that a query of few traps has; of all traps none."""
    return [] if only is None else [sa.tuple_(tenant, trap).in_([(one.tenant, one.trap) for one in only])]
