"""Every trap tonight, in a few queries however many there are."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.answers import FleetRow
from trap_server.completeness import complete_to_ms
from trap_server.deployments import deployments
from trap_server.newest import Newest, of_traps, traps_with_newest
from trap_server.nights import Deployment, Night, TrapNight, night_of
from trap_server.rollups import reading
from trap_server.rollups.reading import Asked
from trap_server.trap_record import TrapRecord

SLOT_MS = 15 * 60_000
FEW = 50
FEMALE, MALE = "Female", "Male"

_T, _H, _E, _A = schema.traps.c, schema.health.c, schema.evidence.c, schema.alerts.c

ByTrap = dict[TrapAddress, Any]


def fleet_rows(connection: sa.Connection, now_ms: int, only: Collection[TrapAddress] | None = None) -> list[FleetRow]:
    """One row for each trap that was ever seen, by name; or for the traps of `only`."""
    records, newest = traps_with_newest(connection, now_ms, only)
    addresses = list(records)
    places = _places(connection, now_ms, only)
    nights = {address: tonight(now_ms, places.get(address)) for address in addresses}
    caught = _caught(connection, nights, newest, places)
    ends = {address: newest[address].end_ms if address in newest else None for address in addresses}
    known = _Known(
        places=places,
        nights=nights,
        newest=newest,
        caught=caught,
        complete=complete_to_ms(connection, ends, now_ms),
        health=_newest_of(connection, schema.health, "received_at_ms", _H.body, only),
        pictures=_newest_of(connection, schema.evidence, "id", _E.received_at_ms, only),
        alerts=_alerts(connection),
    )
    return [_row(record, known, now_ms) for record in records.values()]


@lru_cache(maxsize=1 << 16)
def _night(slot: int, place: Deployment | None) -> Night:
    return night_of(slot * SLOT_MS, place)


def tonight(now_ms: int, place: Deployment | None) -> Night:
    """The night of this moment, to the quarter of an hour."""
    return _night(now_ms // SLOT_MS, place)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the queries found, by trap."""

    places: Mapping[TrapAddress, Deployment]
    nights: Mapping[TrapAddress, Night]
    newest: Mapping[TrapAddress, Newest]
    caught: Mapping[TrapAddress, TrapNight]
    complete: Mapping[TrapAddress, int | None]
    health: ByTrap
    pictures: ByTrap
    alerts: Mapping[TrapAddress, int]


def _row(record: TrapRecord, known: _Known, now_ms: int) -> FleetRow:
    address = TrapAddress(record.tenant, record.trap)
    place, night, newest = known.places.get(address), known.nights[address], known.newest.get(address)
    caught = known.caught.get(address)
    health: dict[str, Any] = json.loads(known.health[address][1]) if address in known.health else {}
    picture = known.pictures.get(address)
    counts = caught.counts if caught else None
    begins_ms = max(night.begins_ms, place.begins_ms if place else 0)
    elapsed_s = max(0, min(now_ms, night.ends_ms) - begins_ms) / 1000
    return FleetRow(
        tenant=record.tenant,
        trap=record.trap,
        name=place.name if place else "",
        site=place.site if place else "",
        latitude=place.latitude if place else None,
        longitude=place.longitude if place else None,
        timezone=place.timezone if place else "",
        status=record.status(now_ms),
        last_seen_ms=record.last_seen_ms,
        complete_to_ms=known.complete[address],
        window_ms=record.window_ms,
        semantics=newest.semantics if newest else None,
        model_id=newest.model_id if newest else None,
        night=night.date.isoformat(),
        night_begins_ms=night.begins_ms,
        counts=counts,
        females=counts.get(FEMALE) if counts else None,
        males=counts.get(MALE) if counts else None,
        coverage=min(1.0, (caught.observed_s if caught else 0.0) / elapsed_s) if newest and elapsed_s else None,
        battery_volts=health.get("battery_volts"),
        picture=f"/api/v1/evidence/{picture[0]}.jpg" if picture else None,
        picture_ms=picture[1] if picture else None,
        alerts=known.alerts.get(address, 0),
    )


def _places(
    connection: sa.Connection, now_ms: int, only: Collection[TrapAddress] | None
) -> dict[TrapAddress, Deployment]:
    found = deployments(connection, at_ms=now_ms).values()
    return {TrapAddress(one.tenant, one.trap): one for one in found if only is None or _address(one) in only}


def _address(place: Deployment) -> TrapAddress:
    return TrapAddress(place.tenant, place.trap)


def _caught(
    connection: sa.Connection,
    nights: Mapping[TrapAddress, Night],
    newest: Mapping[TrapAddress, Newest],
    places: Mapping[TrapAddress, Deployment],
) -> dict[TrapAddress, TrapNight]:
    """Tonight of each trap where it stands now, by the way of counting that its newest window has."""
    caught = {}
    for found in _nights(connection, nights):
        address = TrapAddress(found.tenant, found.trap)
        place = places.get(address)
        is_tonight = address in newest and found.night == nights[address].date
        is_here = found.deployed_ms == (place.begins_ms if place else None)
        if is_tonight and is_here and found.semantics == newest[address].semantics:
            caught[address] = found
    return caught


def _nights(connection: sa.Connection, nights: Mapping[TrapAddress, Night]) -> Iterator[TrapNight]:
    """Nights of these dates; of few traps by name, of many all at once."""
    if not nights:
        return
    dates = sorted({night.date.isoformat() for night in nights.values()})
    asked = Asked(since=dates[0], until=dates[-1])
    few = [replace(asked, tenant=one.tenant, trap=one.trap) for one in nights] if len(nights) <= FEW else [asked]
    for one in few:
        yield from reading.nights(connection, one)


def _newest_of(
    connection: sa.Connection, table: sa.Table, order: str, column: Any, only: Collection[TrapAddress] | None
) -> dict[TrapAddress, tuple[int, Any]]:
    """Of each trap the row that is last by `order`, in which the table has an index: its id and one column."""
    mine = table.alias("mine")
    newest_id = (
        sa.select(mine.c.id)
        .where(mine.c.tenant == _T.tenant, mine.c.trap == _T.trap)
        .order_by(mine.c[order].desc())
        .limit(1)
        .scalar_subquery()
    )
    query = sa.select(_T.tenant, _T.trap, table.c.id, column).join_from(schema.traps, table, table.c.id == newest_id)
    found = connection.execute(query.where(*of_traps(only, _T.tenant, _T.trap)))
    return {TrapAddress(tenant, trap): (row_id, value) for tenant, trap, row_id, value in found}


def _alerts(connection: sa.Connection) -> dict[TrapAddress, int]:
    query = sa.select(_A.tenant, _A.trap, sa.func.count()).where(_A.closed_ms.is_(None)).group_by(_A.tenant, _A.trap)
    return {TrapAddress(tenant, trap): count for tenant, trap, count in connection.execute(query)}
