"""Stretches of windows and health, from the database, for the gate."""

import json
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.rollouts.gate import Stretch

_W = schema.windows.c
_H = schema.health.c
MOST_READINGS = 200

# Built once: to build a statement takes longer than to run it, and a large fleet needs thousands.
_OF_TRAP = (_W.tenant == sa.bindparam("of"), _W.trap == sa.bindparam("named"))
_WINDOWS = sa.select(_W.duration_ms, _W.observed_s, _W.counts).where(
    *_OF_TRAP, _W.start_ms >= sa.bindparam("since"), _W.start_ms < sa.bindparam("until")
)
_WINDOWS_OF_MODEL = _WINDOWS.where(_W.model_sha256 == sa.bindparam("model"))
_HEALTH = (
    sa.select(_H.body)
    .where(_H.tenant == sa.bindparam("of"), _H.trap == sa.bindparam("named"))
    .where(_H.received_at_ms >= sa.bindparam("since"), _H.received_at_ms < sa.bindparam("until"))
    .order_by(_H.received_at_ms.desc())
    .limit(MOST_READINGS)
)


def stretch(
    connection: sa.Connection, address: TrapAddress, since_ms: int, until_ms: int, model_sha256: str | None = None
) -> Stretch:
    """One trap's windows that began then, of one model if that is named, and its temperatures."""
    span: dict[str, str | int] = {"of": address.tenant, "named": address.trap, "since": since_ms, "until": until_ms}
    windows = counted(connection, span, model_sha256)
    read = [json.loads(body).get("soc_celsius") for (body,) in connection.execute(_HEALTH, span)]
    return replace(windows, celsius=tuple(one for one in read if one is not None))


def counted(connection: sa.Connection, span: dict[str, str | int], model_sha256: str | None = None) -> Stretch:
    """Its windows alone; `span` has `of`, `named`, `since` and `until`."""
    query = _WINDOWS if model_sha256 is None else _WINDOWS_OF_MODEL
    given = span if model_sha256 is None else {**span, "model": model_sha256}
    rows = connection.execute(query, given).all()
    return Stretch(
        duration_s=sum(row.duration_ms for row in rows) / 1000,
        observed_s=sum(row.observed_s for row in rows),
        counts=tuple(sum(row.counts.values()) for row in rows if row.counts is not None),
        windows=len(rows),
    )


def joined(parts: Sequence[Stretch]) -> tuple[int, ...]:
    """The counts of all."""
    return tuple(count for part in parts for count in part.counts)
