"""What a benchmark run says, as JSON and as tables."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from trap_contract.bundle import bundle_digest

from trap_agent.benching.conditions import Conditions, Machine, departures, new_throttling
from trap_agent.benching.measuring import Measured
from trap_agent.benching.peak import peak_giga
from trap_agent.benching.scopes import SCOPES, Scope
from trap_agent.benching.work import multiply_accumulates

FULL_ROUNDS, FULL_SECONDS, FULL_PROCESSES = 1024, 60.0, 3


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The machine, its conditions before and after, and the fastest clock of a core in MHz."""

    machine: Machine
    before: Conditions
    after: Conditions
    megahertz: float | None


def report(measured: Sequence[Measured], around: Surroundings, pictures: str, *, compares: bool) -> dict[str, Any]:
    """Everything in one record: `void` and `departures` say what the numbers are not worth."""
    job = measured[0].job
    models = [_model(*named, around) for named in zip(job.models, measured[0].precisions, strict=True)]
    height, width = job.frames[0].shape[:2]
    return {
        "kind": "zancudo.bench",
        "schema_version": 1,
        "command": " ".join(sys.argv),
        "void": [f"{name} set in during the run" for name in new_throttling(around.before, around.after)],
        "departures": departures(around.machine, around.before) + _shortness(measured),
        "machine": asdict(around.machine) | {"features": sorted(around.machine.features)},
        "before": asdict(around.before),
        "after": asdict(around.after),
        "frames": {"what": pictures, "count": len(job.frames), "width": width, "height": height, "tile": job.tile},
        "models": models,
        "runs": [
            _run(one, place, scope, models) for one in measured for place in range(len(models)) for scope in SCOPES
        ],
        "ratios": [_ratio(one, scope) for one in measured for scope in SCOPES] if compares else [],
    }


def _shortness(measured: Sequence[Measured]) -> list[str]:
    plan, processes = measured[0].job.plan, min(len(one.repetitions) for one in measured)
    if plan.rounds >= FULL_ROUNDS and plan.seconds >= FULL_SECONDS and processes >= FULL_PROCESSES:
        return []
    return [f"a short run: --full takes {FULL_ROUNDS} rounds and {FULL_SECONDS:.0f} s in {FULL_PROCESSES} processes"]


def _model(path: Path, precision: str, around: Surroundings) -> dict[str, Any]:
    work = multiply_accumulates(path)
    peak = peak_giga(around.machine, precision, around.megahertz)
    return {
        "name": path.name,
        "sha256": bundle_digest(path),
        "precision": precision,
        "giga_operations": None if work is None else round(2 * work / 1e9, 4),
        "calculated_peak_giga_per_core": None if peak is None else round(peak, 1),
    }


def _run(one: Measured, place: int, scope: Scope, models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    summary, model, apart = one.summary(place, scope), models[place], one.spread(place, scope)
    work, peak = model["giga_operations"], model["calculated_peak_giga_per_core"]
    giga = None if work is None or scope != "infer" else work / summary.p50 * 1e3
    threads = one.job.threads if one.job.tile is None else 1  # of one call; tiles are looked at side by side
    return {
        "model": model["name"],
        "backend": one.backends[place],
        "threads": one.job.threads,
        "scope": scope,
        "milliseconds": summary.as_json(),
        "spread_of_processes": None if apart is None else round(apart, 4),
        "giga_per_second": None if giga is None else round(giga, 1),
        "ratio_to_calculated_peak": None if giga is None or peak is None else round(giga / peak / threads, 4),
        "memory_mb": round(one.memory_mb, 1),
        "samples_ms": [round(float(value) * 1e3, 4) for value in one.samples(place, scope)],
    }


def _ratio(one: Measured, scope: Scope) -> dict[str, Any]:
    return {"threads": one.job.threads, "scope": scope, **{k: round(v, 4) for k, v in asdict(one.ratio(scope)).items()}}


def print_report(record: dict[str, Any]) -> None:
    """Tables on standard output, and below them what to know about the numbers."""
    console = Console() if sys.stdout.isatty() else Console(width=160)
    machine, before, after = record["machine"], record["before"], record["after"]
    console.print(f"{machine['board']}, {machine['processor']}, {machine['cores']} cores, kernel {machine['kernel']}")
    console.print(", ".join(f"{name} {number}" for name, number in machine["packages"].items()), highlight=False)
    frames = record["frames"]
    tiles = f", tiles of {frames['tile']} px" if frames["tile"] else ""
    console.print(f"{frames['count']} frames {frames['width']}x{frames['height']}, {frames['what']}{tiles}")
    console.print(f"SoC {_degrees(before['celsius'])} before, {_degrees(after['celsius'])} after")
    console.print(_times(record["runs"]))
    if record["ratios"]:
        console.print(_ratios(record))
    for text in record["departures"]:
        console.print(f"note: {text}", style="yellow", highlight=False)
    for text in record["void"]:
        console.print(f"void: {text}: cool or power the board better, and run again", style="bold red", highlight=False)


def _times(runs: Sequence[dict[str, Any]]) -> Table:
    columns = ("fps", "p50 ms", "p90", "p95", "p99", "max", "jitter", "of peak")
    table = Table("Model", "Scope", *[Column(name, justify="right") for name in ("threads", *columns)])
    for run in runs:
        found, share = run["milliseconds"], run["ratio_to_calculated_peak"]
        values = [f"{found[name]:.2f}" for name in ("p50", "p90", "p95", "p99", "max", "jitter")]
        row = (f"{found['fps']:.1f}", *values, "" if share is None else f"{share:.0%}")
        table.add_row(run["model"], run["scope"], str(run["threads"]), *row, end_section=run["scope"] == SCOPES[-1])
    table.caption = "of peak: of what that many cores could do at best, by calculation"
    return table


def _ratios(record: dict[str, Any]) -> Table:
    first, second = (model["name"] for model in record["models"])
    right = [Column(name, justify="right") for name in ("threads", "ratio", "middle half")]
    table = Table("Scope", *right, title=f"time of {first} / time of {second}")
    for row in record["ratios"]:
        middle = f"{row['low']:.3f} to {row['high']:.3f}"
        table.add_row(row["scope"], str(row["threads"]), f"{row['median']:.3f}", middle)
    return table


def _degrees(celsius: float | None) -> str:
    return "unknown" if celsius is None else f"{celsius:.1f} C"
