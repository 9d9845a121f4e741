"""trap-train: carry out recipes."""

import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from trap_contract.command import run_command

from trap_training.recipe import Recipe
from trap_training.running import Run

app = typer.Typer(help="Train teachers and distil students.", no_args_is_help=True, add_completion=False)


@app.callback()
def _commands() -> None:
    """Train teachers and distil students."""


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="Recipe YAML, e.g. training/recipes/yolov8n_kd.yaml.")],
    *,
    runs: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="cpu, 0, 0,1 ...")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = os.cpu_count() or 1,
    online: Annotated[bool, typer.Option("--online", help="Let Ultralytics fetch named checkpoints.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train a recipe's teacher and student; run it again to resume where it stopped."""
    plan = Recipe.load(recipe)
    with redirect_stdout(sys.stderr):  # Ultralytics binds its log and its progress bars to stdout when imported
        report = Run(plan, runs / plan.name, device, threads, online).carry_out()
    content = json.loads(report.read_text())
    if as_json:
        print(json.dumps(content))
    else:
        _show(content, report)


def main() -> None:
    """Entry point of trap-train."""
    run_command(app)


def _show(content: dict[str, dict[str, dict[str, float]]], report: Path) -> None:
    table = Table("part", "mAP50", "mAP50-95", "parameters", "GFLOPs", "seconds", title=str(report))
    for part, values in content["parts"].items():
        row = (f"{values['map50']:.3f}", f"{values['map50_95']:.3f}", f"{values['parameters']:,}")
        table.add_row(part, *row, f"{values['gflops']:.2f}", f"{values['seconds']:.0f}")
    Console().print(table)
