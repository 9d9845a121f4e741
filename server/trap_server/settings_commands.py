"""`trap-server settings`: what is set on a trap from afar."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import sqlalchemy as sa
import typer
from trap_contract.errors import ConfigError
from trap_contract.messages import Value
from trap_contract.topics import TrapAddress

_EVERY_S: Final = 0.5
_SAID: Final = {"none": "none", "waiting": "not heard yet", "followed": "followed", "refused": "refused: {}"}


@dataclass(frozen=True, slots=True)
class Standing:
    """Settings that are wanted, their version, and what the trap has said of it."""

    version: int | None
    settings: dict[str, Value]
    state: str
    refused: str
    in_force: dict[str, Value]


def settings(
    trap: Annotated[str, typer.Argument(help="the trap's name")],
    changes: Annotated[
        list[str] | None, typer.Argument(help="NAME=VALUE, or NAME= to take back; none: only look")
    ] = None,
    *,
    database: Annotated[
        str | None, typer.Option(help="sqlite:///PATH.db or postgresql+psycopg://...", show_default=False)
    ] = None,
    tenant: Annotated[str, typer.Option(help="whose trap it is")] = "default",
    wait: Annotated[float, typer.Option(min=0, help="seconds to wait until the trap has heard")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Set a trap from afar: window, threshold, fps, schedule, evidence; status 1: it does not follow yet.

    The broker keeps it for a trap that is away. Other settings are the trap's own.
    """
    from trap_server.settings import read_settings

    url, address = read_settings(database=database).database, TrapAddress(tenant, trap)
    told = change_and_wait(url, address, read_changes(changes or []), wait_s=wait)
    wanted = ", ".join(f"{name} = {value}" for name, value in told.settings.items()) or "nothing is set from afar"
    state = _SAID[told.state].format(told.refused)
    print(json.dumps(asdict(told)) if as_json else f"version {told.version or 'none'}, {state}: {wanted}")
    if told.state not in ("followed", "none"):
        raise typer.Exit(1)


def read_changes(written: Sequence[str]) -> dict[str, Value]:
    """`window=30` as it is written: a number, true, false, or else text; nothing takes a setting back.

    Raises ConfigError for what has no equals sign.
    """
    changes: dict[str, Value] = {}
    for one in written:
        name, sign, text = one.partition("=")
        if not sign:
            raise ConfigError(f"{one!r} is not NAME=VALUE, as in window=30")
        changes[name] = _value(text)
    return changes


def _value(text: str) -> Value:
    try:
        value = json.loads(text)
    except ValueError:
        return text or None
    return value if isinstance(value, int | float | bool) else text


def change_and_wait(database: str, address: TrapAddress, changes: dict[str, Value], *, wait_s: float) -> Standing:
    """Keep what is wanted for ingest to tell, and look for so long whether the trap has heard; how it stands then.

    Raises ConfigError for a trap that nothing ever came from, and for settings that no trap would take.
    """
    from trap_server import wanted
    from trap_server.database import open_database
    from trap_server.turns import only_reading

    engine, until_s = open_database(database), time.monotonic() + wait_s
    if changes:
        with engine.begin() as connection:
            _birth(connection, address)
            wanted.change(connection, address, changes, by="command line", now_ms=time.time_ns() // 1_000_000)
    while True:
        with only_reading(engine).begin() as connection:
            standing = _standing(connection, address)
        if standing.state != "waiting" or time.monotonic() >= until_s:
            return standing
        time.sleep(_EVERY_S)


def _standing(connection: sa.Connection, address: TrapAddress) -> Standing:
    from trap_server import wanted

    birth, kept = _birth(connection, address), wanted.wanted(connection, address)
    version, settings = (kept.version, kept.settings) if kept else (None, {})
    refused, in_force = birth.get("settings_refused", ""), birth.get("settings", {})
    return Standing(version, settings, wanted.state_of(kept, birth), refused, in_force)


def _birth(connection: sa.Connection, address: TrapAddress) -> dict[str, Any]:
    from trap_server import queries

    return queries.known_trap(connection, address).birth_content
