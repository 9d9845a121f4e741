"""trap-train: carry out recipes and studies, let a teacher label pictures."""

import json
import math
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from trap_contract.command import run_command
from trap_contract.quiet import quiet_ultralytics

from trap_training.places import new_folder

app = typer.Typer(help="Train teachers and distil students.", no_args_is_help=True, add_completion=False)

Device = Annotated[str, typer.Option(help="cpu, 0, 0,1 ...")]
Threads = Annotated[int, typer.Option(help="CPU threads.", min=1)]
Online = Annotated[bool, typer.Option("--online", help="Let Ultralytics fetch named checkpoints.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
CORES = os.cpu_count() or 1


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="Recipe YAML, e.g. training/recipes/yolov8n_kd.yaml.")],
    *,
    runs: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    device: Device = "cpu",
    threads: Threads = CORES,
    online: Online = False,
    as_json: AsJson = False,
) -> None:
    """Train a recipe's teacher and student; run it again to resume where it stopped."""
    from trap_training.recipe import Recipe  # imports torch, which no --help needs
    from trap_training.running import Run

    plan = Recipe.load(recipe)
    with redirect_stdout(sys.stderr):  # Ultralytics binds its log and its progress bars to stdout when imported
        report = Run(plan, runs / plan.name, device, threads, online).carry_out()
    content = json.loads(report.read_text())
    if as_json:
        print(json.dumps(content))
    else:
        _show(content, report)


@app.command()
def study(
    plan: Annotated[Path, typer.Argument(help="Study YAML, e.g. training/studies/stickytrap.yaml.")],
    *,
    runs: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    out: Annotated[Path, typer.Option(help="Where report folders go.")] = Path("docs/studies"),
    device: Device = "cpu",
    threads: Threads = CORES,
    online: Online = False,
    only_finished: Annotated[bool, typer.Option("--only-finished", help="Train nothing; report what is done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train every arm with every seed and report which one works; run it again to resume where it stopped."""
    from trap_training.studies.concluding import conclude
    from trap_training.studies.plan import Study
    from trap_training.studies.report import report_study
    from trap_training.studies.trial import Trial

    planned = Study.load(plan)
    with redirect_stdout(sys.stderr):
        trial = Trial(planned, runs / "studies" / planned.name, device, threads, online)
        result = conclude(planned, trial.carry_out(only_finished=only_finished))
        report = report_study(result, out / planned.name)
    if as_json:
        print(report.with_suffix(".json").read_text())
    else:
        Console().print(f"{report}: {len(result.runs)} runs", soft_wrap=True)


@app.command()
def label(
    teacher: Annotated[Path, typer.Argument(help="Trained checkpoint (.pt).")],
    data: Annotated[Path, typer.Argument(help="data.yaml that has the pictures.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must be new or empty.")],
    place: Annotated[str, typer.Option("--pictures", help="Which of its pictures.")] = "unlabelled",
    confidence: Annotated[float, typer.Option(help="Keep what the teacher is surer of than this.")] = 0.40,
    imgsz: Annotated[int, typer.Option(help="Side of the network's input, px.", min=32)] = 224,
    as_json: Annotated[bool, typer.Option("--json", help="Print the balance as JSON.")] = False,
) -> None:
    """Let a teacher label pictures, as a data set to train on; prints what was kept of each class."""
    from trap_training.pseudo_labels import Labelling, balance

    new_folder(out)
    with redirect_stdout(sys.stderr), TemporaryDirectory() as scratch:
        quiet_ultralytics(Path(scratch))
        labelling = Labelling.of_place(teacher, data, place, imgsz, confidence)
        kept = list(track(labelling.write(out), "labelling", len(labelling.pictures), console=Console(stderr=True)))
    rows = balance(kept, labelling.names)
    if as_json:
        print(json.dumps(rows))
        return
    table = Table(*rows[0], title=str(out))
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)


@app.command()
def invert(
    teacher: Annotated[Path, typer.Argument(help="Trained checkpoint (.pt).")],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must be new or empty.")],
    like: Annotated[Path | None, typer.Option(help="data.yaml whose labels say what is usual.")] = None,
    boards: Annotated[Path | None, typer.Option(help="Folder of empty boards to begin with; else noise.")] = None,
    pictures: Annotated[int, typer.Option(help="How many.", min=1)] = 64,
    steps: Annotated[int, typer.Option(help="Steps of each batch of 16.", min=1)] = 500,
    imgsz: Annotated[int, typer.Option(help="Side of the pictures, px.", min=32)] = 224,
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.", min=0)] = 0,
    device: Device = "cpu",
) -> None:
    """Make pictures out of a teacher alone, as a data set to train on. Experimental."""
    from trap_training.inversion import Inversion, invert, usual_kinds

    new_folder(out)
    with redirect_stdout(sys.stderr), TemporaryDirectory() as scratch:
        quiet_ultralytics(Path(scratch))
        starts = tuple(sorted(boards.iterdir())) if boards else ()
        kinds = usual_kinds(teacher, like)
        wanted = Inversion(teacher, kinds, imgsz, pictures, steps, seed, starts, device=device)
        total = math.ceil(pictures / 16) * steps
        for _ in track(invert(wanted, out), "inverting", total, console=Console(stderr=True)):
            pass
    Console().print(f"{out}: data.yaml, pictures, labels and inversion.json", soft_wrap=True)


def main() -> None:
    """Entry point of trap-train."""
    run_command(app)


def _show(content: dict[str, dict[str, dict[str, float]]], report: Path) -> None:
    table = Table("part", "mAP50", "mAP50-95", "parameters", "GFLOPs", "seconds", title=str(report))
    for part, values in content["parts"].items():
        row = (f"{values['map50']:.3f}", f"{values['map50_95']:.3f}", f"{values['parameters']:,}")
        table.add_row(part, *row, f"{values['gflops']:.2f}", f"{values['seconds']:.0f}")
    Console().print(table)
