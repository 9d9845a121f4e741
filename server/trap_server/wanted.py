"""What traps shall be set to from afar: kept here, told retained by whoever ingests, and told again to who forgot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from trap_contract.messages import Birth, Value, WantedSettings
from trap_contract.settings import check_live
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.bulk import insert

_W = schema.wanted_settings.c

State = Literal["none", "waiting", "followed", "refused"]
"""Nothing is set from afar, the trap has not heard of it yet, it does so, or it said why not."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that is set from afar on a trap, and who changed it last."""

    tenant: str
    trap: str
    version: int
    settings: dict[str, Value]
    changed_ms: int
    changed_by: str
    told_ms: int | None

    @property
    def address(self) -> TrapAddress:
        """Whom it is for."""
        return TrapAddress(self.tenant, self.trap)

    def message(self) -> WantedSettings:
        """The document."""
        return WantedSettings(trap=self.trap, version=self.version, settings=self.settings)


def wanted(connection: sa.Connection, address: TrapAddress) -> Wanted | None:
    """What is set on a trap; None where nothing ever was."""
    row = connection.execute(sa.select(schema.wanted_settings).where(_is_of(address))).mappings().one_or_none()
    return None if row is None else Wanted(**row)


def want(
    connection: sa.Connection, address: TrapAddress, settings: Mapping[str, Value], *, by: str, now_ms: int
) -> Wanted:
    """Make this all that is set, with the next version. Raises ConfigError for what no trap would take."""
    check_live(settings)
    new: dict[str, Any] = {"settings": dict(settings), "changed_ms": now_ms, "changed_by": by, "told_ms": None}
    statement = insert(connection, schema.wanted_settings).values(**_key(address), version=1, **new)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["tenant", "trap"], set_={**new, "version": _W.version + 1})
    )
    kept = wanted(connection, address)
    assert kept is not None
    return kept


def change(
    connection: sa.Connection, address: TrapAddress, changes: Mapping[str, Value], *, by: str, now_ms: int
) -> Wanted:
    """Set these, and take back those that are None; the others stay. Raises ConfigError for what no trap would take."""
    before = wanted(connection, address)
    merged = {**(before.settings if before else {}), **changes}
    return want(connection, address, {k: v for k, v in merged.items() if v is not None}, by=by, now_ms=now_ms)


def state_of(kept: Wanted | None, birth: Mapping[str, Any]) -> State:
    """How what is wanted stands, by the trap's newest birth."""
    if kept is None:
        return "none"
    if birth.get("settings_version") != kept.version:
        return "waiting"
    return "refused" if birth.get("settings_refused") else "followed"


def untold(connection: sa.Connection) -> list[Wanted]:
    """What the broker has not been given, the first changed first."""
    query = sa.select(schema.wanted_settings).where(_W.told_ms.is_(None)).order_by(_W.changed_ms)
    return [Wanted(**row) for row in connection.execute(query).mappings()]


def mark_told(connection: sa.Connection, told: Sequence[Wanted], now_ms: int) -> None:
    """The broker has been given these."""
    for one in told:
        is_it = sa.and_(_is_of(one.address), _W.version == one.version)
        connection.execute(sa.update(schema.wanted_settings).where(is_it).values(told_ms=now_ms))


def compare(connection: sa.Connection, births: Iterable[tuple[TrapAddress, Birth]]) -> None:
    """Who last heard of another version is told again: the broker may have lost what it kept."""
    for address, birth in births:
        is_other = sa.true() if birth.settings_version is None else _W.version != birth.settings_version
        connection.execute(sa.update(schema.wanted_settings).where(_is_of(address), is_other).values(told_ms=None))


def _key(address: TrapAddress) -> dict[str, str]:
    return {"tenant": address.tenant, "trap": address.trap}


def _is_of(address: TrapAddress) -> sa.ColumnElement[bool]:
    return sa.and_(_W.tenant == address.tenant, _W.trap == address.trap)
