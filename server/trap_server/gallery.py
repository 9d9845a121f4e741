"""Pictures from traps, read again for people to look at."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from trap_contract.messages import MAX_SEQ
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.answers import EvidenceAnswer

_E, _W = schema.evidence.c, schema.windows.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pictures of a trap; None: whatever it is. `since_ms` and `until_ms` (excluded) are the trap's clock."""

    kind: str | None = None
    label: str | None = None
    boot: str | None = None
    seq: int | None = None
    since_ms: int = 0
    until_ms: int = MAX_SEQ


def find(
    connection: sa.Connection, address: TrapAddress, wanted: Wanted, *, before: int, limit: int
) -> list[EvidenceAnswer]:
    """Pictures of a trap whose id is below `before`, the newest first."""
    query = (
        sa.select(*(column for column in _E if column.name != "jpeg"), _W.start_ms.label("window_start_ms"))
        .join_from(schema.evidence, schema.windows, _of_its_window(), isouter=True)
        .where(_E.tenant == address.tenant, _E.trap == address.trap, _E.id < before, *_conditions(wanted))
        .order_by(_E.id.desc())
        .limit(limit)
    )
    return [EvidenceAnswer.of(dict(row)) for row in connection.execute(query).mappings()]


def jpeg(connection: sa.Connection, row_id: int) -> bytes | None:
    """The picture itself; None where there is none, or none any more."""
    found: bytes | None = connection.execute(sa.select(_E.jpeg).where(_E.id == row_id)).scalar_one_or_none()
    return found


def newest_id(connection: sa.Connection) -> int:
    """The id of the picture committed last, 0 when there is none."""
    newest: int | None = connection.execute(sa.select(sa.func.max(_E.id))).scalar_one()
    return newest or 0


def taken_by(connection: sa.Connection, after: int, until: int) -> list[TrapAddress]:
    """The traps whose pictures are those behind `after` up to `until`."""
    query = sa.select(_E.tenant, _E.trap).where(_E.id > after, _E.id <= until).distinct()
    return [TrapAddress(row.tenant, row.trap) for row in connection.execute(query)]


def _of_its_window() -> sa.ColumnElement[bool]:
    return sa.and_(*(_E[name] == _W[name] for name in schema.KEY))


def _conditions(wanted: Wanted) -> Iterable[sa.ColumnElement[bool]]:
    for name in ("kind", "label", "boot", "seq"):
        if (value := getattr(wanted, name)) is not None:
            yield _E[name] == value
    yield _E.wall_ms >= wanted.since_ms
    yield _E.wall_ms < wanted.until_ms
