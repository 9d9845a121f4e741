"""What `trap-fleet rollout` does and prints; apart from its options, for it loads the whole of the database code."""

import json
import secrets
import time
from dataclasses import asdict
from pathlib import Path

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from trap_contract.errors import ConfigError
from trap_contract.signature import load_public_key

from trap_server.api.rollouts import RolloutAnswer, RolloutTrapAnswer
from trap_server.database import open_database, open_for_reading
from trap_server.rollouts import keeping, shelf
from trap_server.rollouts.engine import State
from trap_server.rollouts.plan import Gate, Plan
from trap_server.rollouts.simulation import World, rehearse
from trap_server.settings import read_settings


def publish(bundle: Path, trust: Path, database: str | None, bundles: Path | None, *, as_json: bool) -> None:
    """Put a signed bundle on the shelf."""
    settings = read_settings(database=database, bundles=bundles)
    described = shelf.describe(bundle, {load_public_key(trust)})
    shelf.place(settings.bundles, bundle, described)
    with open_database(settings.database).begin() as connection:
        is_new = keeping.keep_bundle(connection, described, _now_ms())
    told = {"digest": described.digest, "model": described.model, "bytes": described.size, "is_new": is_new}
    text = (
        f"{described.digest[:16]} {described.model}: {described.size} bytes, {'published' if is_new else 'as before'}"
    )
    typer.echo(json.dumps(told) if as_json else text)


def plan(wanted: Plan, digest: str, url: str, tenant: str | None, database: str | None, *, as_json: bool) -> None:
    """Draw the rings."""
    if not url.startswith(("https://", "http://")):
        raise ConfigError(f"--url {url!r}: write https://HOST[:PORT], as traps reach the collector's API")
    new_id = secrets.token_hex(8)
    with open_database(read_settings(database=database).database).begin() as connection:
        chosen = keeping.bundle(connection, digest)
        keeping.create(connection, chosen, wanted, url=url, tenant=tenant, now_ms=_now_ms(), new_id=new_id)
        _say(
            RolloutAnswer.of(keeping.rollout(connection, new_id), keeping.summary(connection, new_id)), as_json=as_json
        )


def move(which: str, wanted: State, database: str | None, *, as_json: bool) -> None:
    """Start, pause or abort."""
    with open_database(read_settings(database=database).database).begin() as connection:
        one = keeping.command(connection, which, wanted, _now_ms(), "by hand" if wanted != "running" else "")
        _say(RolloutAnswer.of(one, keeping.summary(connection, one.id)), as_json=as_json)


def simulate(wanted: Plan, world: World, *, as_json: bool) -> None:
    """Rehearse."""
    outcome = rehearse(wanted, world)
    typer.echo(json.dumps(asdict(outcome)) if as_json else outcome.text())


def status(which: str | None, database: str | None, *, as_json: bool) -> None:
    """Everything, or the traps of one rollout."""
    with open_for_reading(read_settings(database=database).database).begin() as connection:
        if which is not None:
            named = keeping.rollout(connection, which)
            answer = RolloutAnswer.of(named, keeping.summary(connection, named.id))
            traps = [RolloutTrapAnswer.of(row) for row in keeping.members(connection, named.id)]
            _show_traps(answer, traps, as_json=as_json)
            return
        found = [(one, keeping.summary(connection, one.id)) for one in keeping.rollouts(connection)]
        published = keeping.bundles(connection)
    answers = [RolloutAnswer.of(*one) for one in found]
    if as_json:
        bundles = [{"digest": one.digest, "model": one.model, "bytes": one.size} for one in published]
        typer.echo(json.dumps({"rollouts": [one.model_dump(mode="json") for one in answers], "bundles": bundles}))
        return
    for each in answers:
        _say(each, as_json=False)
    for described in published:
        typer.echo(f"bundle {described.digest[:16]} {described.model}, {described.size} bytes")


def read_plan(**given: object) -> Plan:
    """A plan of what was given. Raises ConfigError naming what is wrong."""
    try:
        return Plan.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, fault["loc"])) or "the plan"
        raise ConfigError(f"{place}: {fault['msg'].removeprefix('Value error, ')}, got {fault['input']!r}") from error


def read_gate(text: str) -> Gate:
    """The limits in JSON. Raises ConfigError naming what is wrong."""
    try:
        return Gate.model_validate_json(text, strict=False)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        known = ", ".join(Gate.model_fields)
        raise ConfigError(f"--gate {'.'.join(map(str, fault['loc']))}: {fault['msg']}; limits: {known}") from error


def _say(answer: RolloutAnswer, *, as_json: bool) -> None:
    if as_json:
        typer.echo(answer.model_dump_json())
        return
    reason = f": {answer.reason}" if answer.reason else ""
    typer.echo(f"rollout {answer.id} of {answer.model} ({answer.digest[:16]}) is {answer.state}{reason}")
    for number, ring in enumerate(answer.rings):
        mark = ">" if number == answer.ring and answer.state == "running" else " "
        states = ", ".join(f"{count} {state}" for state, count in sorted(ring.states.items()))
        typer.echo(
            f"{mark} ring {number + 1} ({ring.ring}): {ring.traps} traps, {ring.told} told, {ring.well} well, "
            f"{ring.unwell} unwell; {states or 'nobody'}"
        )


def _show_traps(answer: RolloutAnswer, traps: list[RolloutTrapAnswer], *, as_json: bool) -> None:
    if as_json:
        typer.echo(
            json.dumps(answer.model_dump(mode="json") | {"members": [one.model_dump(mode="json") for one in traps]})
        )
        return
    _say(answer, as_json=False)
    table = Table("trap", "ring", "state", "gate", "why")
    for one in traps:
        why = one.verdict_text if one.verdict == "bad" else one.text
        table.add_row(f"{one.tenant}/{one.trap}", str(one.ring + 1), one.state or "", one.verdict, why)
    Console().print(table)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
