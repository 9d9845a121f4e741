"""What a fleet has, as `trap-fleet list` tells it."""

from datetime import datetime, timedelta
from typing import Any

from rich.table import Table

from trap_server.fleet.authority import Fleet
from trap_server.fleet.registry import Issued

AHEAD = timedelta(days=30)


def as_json(fleet: Fleet, now: datetime) -> dict[str, Any]:
    """For programs: every certificate ever signed, every token, and what must be seen to."""
    registry = fleet.registry
    certificates = [
        one.model_dump(mode="json", exclude={"is_superseded"}) | {"status": one.status(now)} for one in registry.issued
    ]
    tokens = [
        one.model_dump(mode="json", include={"tenant", "trap", "expires", "used"}) | {"status": one.status(now)}
        for one in registry.tokens
    ]
    return {
        "broker": fleet.broker_url,
        "authority_not_after": fleet.authority.not_valid_after_utc.isoformat(),
        "revocations_not_after": registry.crl_not_after.isoformat(),
        "certificates": certificates,
        "tokens": tokens,
        "warnings": warnings(fleet, now),
    }


def as_table(fleet: Fleet, now: datetime) -> Table:
    """For people: of each name the certificates that are good, or else the last one; and the tokens."""
    table = Table("what", "name", "status", "until", "serial", caption=f"{fleet.broker_url}")
    for one in sorted(_shown(fleet.registry.issued, now), key=lambda one: (one.kind, one.name)):
        table.add_row(one.kind, one.name, one.status(now), f"{one.not_after:%Y-%m-%d}", one.serial[:12])
    for token in fleet.registry.tokens:
        name = f"{token.tenant}/{token.trap}"
        table.add_row("join token", name, token.status(now), f"{token.expires:%Y-%m-%d %H:%M}", "")
    return table


def warnings(fleet: Fleet, now: datetime) -> list[str]:
    """What expires soon or has expired, and what to do."""
    return fleet.registry.warnings(fleet.authority.not_valid_after_utc, now, AHEAD)


def _shown(issued: tuple[Issued, ...], now: datetime) -> list[Issued]:
    last = {(one.kind, one.name): one for one in sorted(issued, key=lambda one: one.not_after)}
    good = [
        one for one in issued if one.status(now) == "valid" or (one.kind == "trap" and one.status(now) == "superseded")
    ]
    named = {(one.kind, one.name) for one in good}
    return good + [one for key, one in last.items() if key not in named]
