"""`trap-fleet rollout`: publish a signed bundle, and bring it to the fleet ring by ring."""

import json
import secrets
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

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
from trap_server.rollouts.simulation import Fault, World, rehearse
from trap_server.settings import read_settings

rollout = typer.Typer(
    no_args_is_help=True,
    help="Bring a signed bundle to the fleet, ring by ring, as long as the traps stay well.\n\n"
    "The collector carries it out; these commands only write into its database.",
)

Database = Annotated[
    str | None, typer.Option(help="the collector's: sqlite:///PATH.db or postgresql+psycopg://...", show_default=False)
]
Bundles = Annotated[Path | None, typer.Option(help="folder from which its API serves bundles", show_default=False)]
Which = Annotated[str, typer.Argument(metavar="ROLLOUT", help="its id, or how that begins")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@rollout.command()
def publish(
    bundle: Annotated[Path, typer.Argument(help="a model bundle, its .sig beside it")],
    *,
    trust: Annotated[Path, typer.Option(help="PEM of who must have signed it: what the traps trust")],
    database: Database = None,
    bundles: Bundles = None,
    as_json: AsJson = False,
) -> None:
    """Put a signed bundle where traps can fetch it, once; nobody is told yet."""
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


@rollout.command()
def plan(
    digest: Annotated[str, typer.Argument(help="the bundle's, or how that begins: as publish said")],
    *,
    url: Annotated[str, typer.Option(envvar="TRAP_SERVER_URL", help="how traps reach the API: https://HOST[:PORT]")],
    ring: Annotated[list[str] | None, typer.Option(help="10%, or traps: roof-1,roof-2 [1% 10% 100%]")] = None,
    rate: Annotated[float | None, typer.Option(help="most traps told in a minute [30]", show_default=False)] = None,
    soak: Annotated[float | None, typer.Option(help="hours that each is watched [2]", show_default=False)] = None,
    abort: Annotated[float | None, typer.Option(help="percent unwell that end it [10]", show_default=False)] = None,
    reach: Annotated[float | None, typer.Option(help="percent well for the next ring [80]", show_default=False)] = None,
    days: Annotated[float | None, typer.Option(help="until its deadline [7]", show_default=False)] = None,
    gate: Annotated[str, typer.Option(help='other limits, JSON: {"shift": 4, "celsius": 85}')] = "{}",
    tenant: Annotated[str | None, typer.Option(help="only this tenant's traps", show_default=False)] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Draw the rings among the traps that are known now; start begins it."""
    soak_s = None if soak is None else round(soak * 3600)
    wanted = _plan(rings=ring, per_minute=rate, soak_s=soak_s, abort_share=_share(abort), reach_share=_share(reach),
                   days=days, gate=_gate(gate))  # fmt: skip
    if not url.startswith(("https://", "http://")):
        raise ConfigError(f"--url {url!r}: write https://HOST[:PORT], as traps reach the collector's API")
    with open_database(read_settings(database=database).database).begin() as connection:
        chosen = keeping.bundle(connection, digest)
        new = keeping.create(
            connection, chosen, wanted, url=url, tenant=tenant, now_ms=_now_ms(), new_id=secrets.token_hex(8)
        )
        _say(RolloutAnswer.of(keeping.rollout(connection, new), keeping.summary(connection, new)), as_json=as_json)


@rollout.command()
def start(which: Which, *, database: Database = None, as_json: AsJson = False) -> None:
    """Begin, or go on after a pause."""
    _command(which, "running", database, as_json=as_json)


@rollout.command()
def pause(which: Which, *, database: Database = None, as_json: AsJson = False) -> None:
    """Tell no further trap; those that were told go on."""
    _command(which, "paused", database, as_json=as_json)


@rollout.command()
def abort(which: Which, *, database: Database = None, as_json: AsJson = False) -> None:
    """End it: every trap that has the bundle returns to the one before."""
    _command(which, "aborted", database, as_json=as_json)


@rollout.command()
def simulate(
    *,
    traps: Annotated[int, typer.Option(min=1, max=20_000, help="how many")] = 200,
    bad: Annotated[float, typer.Option(min=0, max=100, help="percent of them on which the model is bad")] = 10.0,
    fault: Annotated[Fault, typer.Option(help="what is bad there")] = Fault.blind,
    cuts: Annotated[float, typer.Option(min=0, max=90, help="percent of steps that a power cut undoes")] = 5.0,
    away: Annotated[float, typer.Option(min=0, max=90, help="percent of traps that are out of reach")] = 2.0,
    ring: Annotated[list[str] | None, typer.Option(help="10%, as in plan [1% 10% 100%]")] = None,
    rate: Annotated[float, typer.Option(help="most traps told in a minute")] = 30.0,
    soak: Annotated[float, typer.Option(help="hours that each is watched")] = 2.0,
    abort: Annotated[float, typer.Option(help="percent unwell that end it")] = 10.0,
    seed: Annotated[int, typer.Option(help="of the traps' luck")] = 1,
    as_json: AsJson = False,
) -> None:
    """Rehearse a plan: the collector's own code, a database of its own, invented traps, and a clock that leaps."""
    rehearsed = _plan(rings=ring, per_minute=rate, soak_s=round(soak * 3600), abort_share=_share(abort))
    world = World(traps=traps, bad_share=bad / 100, fault=fault, cut_share=cuts / 100, away_share=away / 100, seed=seed)
    outcome = rehearse(rehearsed, world)
    typer.echo(json.dumps(asdict(outcome)) if as_json else outcome.text())


@rollout.command()
def status(
    which: Annotated[str | None, typer.Argument(metavar="[ROLLOUT]", help="its id, for its traps")] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Every rollout and published bundle, or the traps of one rollout."""
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


def _command(which: str, wanted: State, database: str | None, *, as_json: bool) -> None:
    with open_database(read_settings(database=database).database).begin() as connection:
        one = keeping.command(connection, which, wanted, _now_ms(), "by hand" if wanted != "running" else "")
        _say(RolloutAnswer.of(one, keeping.summary(connection, one.id)), as_json=as_json)


def _plan(**given: object) -> Plan:
    try:
        return Plan.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, fault["loc"])) or "the plan"
        raise ConfigError(f"{place}: {fault['msg'].removeprefix('Value error, ')}, got {fault['input']!r}") from error


def _gate(text: str) -> Gate:
    try:
        return Gate.model_validate_json(text, strict=False)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        known = ", ".join(Gate.model_fields)
        raise ConfigError(f"--gate {'.'.join(map(str, fault['loc']))}: {fault['msg']}; limits: {known}") from error


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


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
