"""The command `trap-bench`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from trap_contract.command import run_command
from trap_contract.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trap_agent.benching.scopes import Pixels
    from trap_agent.benching.timing import Plan

EXIT_VOID = 4
"""Exit status when the board throttled meanwhile: the numbers are printed, and are worth nothing."""

_MOST_THREADS = 8
_MOST_PICTURES = 16
_RENDERED = (3, 640, 480)

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)

Models = Annotated[list[Path] | None, typer.Option(metavar="FILE", help="What to measure; may be given again.")]
Compare = Annotated[tuple[Path, Path] | None, typer.Option(metavar="FILE FILE", help="Measure two and their ratio.")]
Threads = Annotated[str, typer.Option(help="As in 1,2,4 [1 to the number of cores].")]
Tile = Annotated[int | None, typer.Option(help="End to end: look in tiles of this many px.")]
Threshold = Annotated[float | None, typer.Option(help="Least score that counts [the model's].")]
Pictures = Annotated[Path | None, typer.Option(help="Folder of frames [three drawn boards].")]
Seconds = Annotated[float, typer.Option(min=0, metavar="<float>", help="How long to measure, all in all.")]
Rounds = Annotated[int, typer.Option(min=2, metavar="<int>", help="Measure each at least this often.")]
Full = Annotated[bool, typer.Option("--full", help="1024 rounds and 60 s for each, 3 processes.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, every sample in it.")]


def main() -> None:
    """Entry point."""
    run_command(app)


@app.command()
def bench(
    *,
    model: Models = None,
    compare: Compare = None,
    threads: Threads = "",
    tile: Tile = None,
    threshold: Threshold = None,
    pictures: Pictures = None,
    seconds: Seconds = 30.0,
    rounds: Rounds = 20,
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """Measure how many frames a second this board counts.

    Three scopes: infer is the bare runtime, model adds letterbox, decoding and
    suppression, end-to-end goes from a frame in memory to its counts.

    Exit status: 0 measured, 1 an error, 4 void: the board throttled meanwhile.
    """
    import json

    from trap_agent.benching.conditions import peak_megahertz, read_conditions, read_machine
    from trap_agent.benching.measuring import Job, measure_all
    from trap_agent.benching.report import FULL_PROCESSES, Surroundings, print_report, report

    models, machine = _models(model, compare), read_machine()
    numbers = _numbers(threads, machine.cores)
    frames, what = _frames(pictures)
    plan = _plan(seconds / len(numbers), rounds, full=full)
    jobs = [Job(models, number, frames, tile, threshold, plan) for number in numbers]
    before = read_conditions()
    with _progress() as on_progress:
        measured = measure_all(jobs, FULL_PROCESSES if full else 1, on_progress)
    around = Surroundings(machine, before, read_conditions(), peak_megahertz())
    record = report(measured, around, what, compares=compare is not None)
    print(json.dumps(record)) if as_json else print_report(record)
    if record["void"]:
        raise typer.Exit(EXIT_VOID)


def _models(model: list[Path] | None, compare: tuple[Path, Path] | None) -> tuple[Path, ...]:
    if (compare is None) == (not model):
        raise ConfigError("nothing to measure: give --model FILE, or --compare FILE FILE")
    return compare or tuple(model or ())


def _numbers(threads: str, cores: int) -> list[int]:
    words = threads.split(",") if threads else [str(number + 1) for number in range(min(cores, _MOST_THREADS))]
    if not all(word.isascii() and word.isdigit() and 1 <= int(word) <= 64 for word in words):
        raise ConfigError(f"--threads {threads}: give numbers from 1 to 64, as in 1,2,4")
    return [int(word) for word in words]


def _frames(folder: Path | None) -> "tuple[tuple[Pixels, ...], str]":
    from trap_contract.pictures import read_picture

    from trap_agent.benching.scopes import rendered_frames
    from trap_agent.counting import find_pictures

    if folder is None:
        return tuple(rendered_frames(*_RENDERED)), "drawn"
    return tuple(read_picture(path) for path in find_pictures([folder])[:_MOST_PICTURES]), "photographs"


def _plan(seconds: float, rounds: int, *, full: bool) -> "Plan":
    from trap_agent.benching.report import FULL_ROUNDS, FULL_SECONDS
    from trap_agent.benching.timing import Plan

    return Plan(50, 5.0, FULL_ROUNDS, FULL_SECONDS) if full else Plan(3, seconds / 10, rounds, seconds)


@contextmanager
def _progress() -> "Iterator[Callable[[float], None]]":
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Measuring", total=1.0)
        yield lambda share: bar.update(task, completed=share)
