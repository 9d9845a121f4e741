"""`trap-fleet rollout`: publish a signed bundle, and bring it to the fleet ring by ring."""

from pathlib import Path
from typing import Annotated

import typer

from trap_server.rollouts.fault import Fault

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
    from trap_server.rollouts import operating

    operating.publish(bundle, trust, database, bundles, as_json=as_json)


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
    from trap_server.rollouts import operating

    wanted = operating.read_plan(
        rings=ring,
        per_minute=rate,
        soak_s=None if soak is None else round(soak * 3600),
        abort_share=_share(abort),
        reach_share=_share(reach),
        days=days,
        gate=operating.read_gate(gate),
    )
    operating.plan(wanted, digest, url, tenant, database, as_json=as_json)


@rollout.command()
def start(which: Which, *, database: Database = None, as_json: AsJson = False) -> None:
    """Begin, or go on after a pause."""
    from trap_server.rollouts import operating

    operating.move(which, "running", database, as_json=as_json)


@rollout.command()
def pause(which: Which, *, database: Database = None, as_json: AsJson = False) -> None:
    """Tell no further trap; those that were told go on."""
    from trap_server.rollouts import operating

    operating.move(which, "paused", database, as_json=as_json)


@rollout.command()
def abort(which: Which, *, database: Database = None, as_json: AsJson = False) -> None:
    """End it: every trap that has the bundle returns to the one before."""
    from trap_server.rollouts import operating

    operating.move(which, "aborted", database, as_json=as_json)


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
    from trap_server.rollouts import operating
    from trap_server.rollouts.simulation import World

    wanted = operating.read_plan(rings=ring, per_minute=rate, soak_s=round(soak * 3600), abort_share=_share(abort))
    world = World(traps=traps, bad_share=bad / 100, fault=fault, cut_share=cuts / 100, away_share=away / 100, seed=seed)
    operating.simulate(wanted, world, as_json=as_json)


@rollout.command()
def status(
    which: Annotated[str | None, typer.Argument(metavar="[ROLLOUT]", help="its id, for its traps")] = None,
    *,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Every rollout and published bundle, or the traps of one rollout."""
    from trap_server.rollouts import operating

    operating.status(which, database, as_json=as_json)


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
