"""The command `trap-fleet simulate`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from trap_contract.broker import BrokerAddress, Tls
from trap_contract.errors import StoreError

from trap_server.simulation.running import Plan, Report, simulate


def simulate_fleet(
    *,
    traps: Annotated[int, typer.Option(min=1, help="how many")] = 10,
    days: Annotated[float, typer.Option(min=0.001, help="how long they count")] = 1,
    speed: Annotated[float, typer.Option(min=1, help="how many times faster than life")] = 1000,
    window: Annotated[int, typer.Option(min=1, help="seconds of a window")] = 60,
    outages: Annotated[float, typer.Option(min=0, max=0.9, help="share of its time that a trap is cut off")] = 0.1,
    blackout: Annotated[float, typer.Option(min=0, help="hours for which all are cut off, in the middle")] = 0,
    seed: Annotated[int, typer.Option(help="of counts and outages")] = 1,
    tenant: Annotated[str, typer.Option(help="whose traps; a name of its own keeps them apart")] = "simulated",
    broker: Annotated[str, typer.Option(help="a broker that lets one connection speak for many")] = (
        "mqtt://127.0.0.1:1883"
    ),
    ca: Annotated[Path | None, typer.Option(help="authorities to trust, for mqtts://", show_default=False)] = None,
    cert: Annotated[Path | None, typer.Option(help="certificate", show_default=False)] = None,
    key: Annotated[Path | None, typer.Option(help="its private key", show_default=False)] = None,
    database: Annotated[str | None, typer.Option(help="the collector's, to compare with", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Count for days as a fleet does, outages and all, until everything is acknowledged; then compare."""
    plan = Plan(traps, days, speed, seed, tenant, window, outages, blackout)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("simulating", total=1.0)
        report = simulate(
            plan,
            BrokerAddress.parse(broker, Tls(ca, cert, key)),
            database,
            lambda done: progress.update(task, completed=done),
        )
    typer.echo(json.dumps(asdict(report)) if as_json else _told(report))
    if report.verdict is not None and report.verdict.violations:
        raise StoreError(f"the database tells other than the traps said: {report.verdict.violations[0]}")


def _told(report: Report) -> str:
    lines = [
        f"{report.windows} windows in {report.messages} messages, all acknowledged after {report.seconds:.0f} s",
        f"{report.windows_a_second:.0f} windows a second, {report.speed:.0f} times life",
    ]
    if report.verdict is not None:
        found = report.verdict
        lines.append(f"{found.stored} stored of {found.said} said, {len(found.violations)} violations")
    return "\n".join(lines)
