"""trap-data: render, tile, split and check pictures."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from trap_contract.command import run_command
from trap_contract.dataset import PICTURE_SUFFIXES, SPLITS, DataSet
from trap_contract.errors import ConfigError, DataError
from trap_contract.tiling import DEFAULT_OVERLAP, tile_grid

from trap_training.checking import Findings, check_dataset
from trap_training.rendering import render_dataset
from trap_training.splitting import assign_splits, write_splits
from trap_training.tiling import tile_dataset

app = typer.Typer(help="Pictures for training: render, tile, split, check.", no_args_is_help=True, add_completion=False)
console = Console(stderr=True)

Out = Annotated[Path, typer.Option("--out", help="Folder to write; must be new or empty.")]
Names = Annotated[str, typer.Option(help="Class names, comma separated, for a folder without data.yaml.")]


@app.command()
def render(
    *,
    out: Out,
    train: Annotated[int, typer.Option(help="Training pictures.", min=1)] = 2000,
    val: Annotated[int, typer.Option(help="Validation pictures.", min=1)] = 400,
    size: Annotated[int, typer.Option(help="Side of a picture, px.", min=64)] = 224,
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = os.cpu_count() or 1,
) -> None:
    """Draw trap pictures of the five classes, with exact boxes."""
    _new_folder(out)
    _follow(render_dataset(out, {"train": train, "val": val}, size, seed, jobs), "rendering", train + val)


@app.command()
def tile(
    source: Annotated[Path, typer.Argument(help="data.yaml, or a folder with images/SPLIT and labels/SPLIT.")],
    out: Out,
    size: Annotated[int, typer.Option(help="Side of a tile, px.", min=32)] = 360,
    overlap: Annotated[int, typer.Option(help="Pixels shared by neighbours.", min=0)] = DEFAULT_OVERLAP,
    names: Names = "",
) -> None:
    """Cut large boards into overlapping square tiles with their labels."""
    data = _data(source, names)
    tile_grid(size, size, size, overlap)  # refuses an overlap that does not fit before anything is written
    _new_folder(out)
    _follow(tile_dataset(data, out, size, overlap), "tiling", sum(len(data.pictures(s)) for s in data.splits))


@app.command()
def split(
    source: Annotated[Path, typer.Argument(help="data.yaml, or a folder with images/ and labels/.")],
    *,
    out: Out,
    ratios: Annotated[str, typer.Option(help="Shares of train/val/test.")] = "60/20/20",
    group: Annotated[
        str | None, typer.Option(help="Expression over file names; equal matches (trap, session) stay together.")
    ] = None,
    names: Names = "",
    seed: Annotated[int, typer.Option(help="Same seed, same splits.")] = 0,
) -> None:
    """Divide pictures into train, val and test by group; do this before any augmentation."""
    data = _data(source, names)
    pictures = sorted({picture for name in data.splits for picture in data.pictures(name)})
    splits = assign_splits(pictures, _ratios(ratios), group, seed)
    _new_folder(out)
    _follow(write_splits(splits, data.names, out), "copying", len(pictures))
    console.print(", ".join(f"{name}: {len(found)}" for name, found in splits.items()))


@app.command()
def check(
    source: Annotated[Path, typer.Argument(help="data.yaml, or a folder with images/SPLIT and labels/SPLIT.")],
    names: Names = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look for broken labels, unreadable pictures and pictures on two sides; exit 1 when there are errors."""
    data, findings = _data(source, names), Findings()
    total = sum(len(data.pictures(s)) for s in data.splits)
    _follow(check_dataset(data, findings), "checking", total)
    if as_json:
        faults = [{"file": str(f.file), "what": f.what, "error": f.is_error} for f in findings.faults]
        print(json.dumps({"pictures": findings.pictures, "boxes": findings.boxes, "faults": faults}))
    else:
        _show(data, findings)
    raise typer.Exit(0 if findings.is_clean else 1)


def main() -> None:
    """Entry point of trap-data."""
    run_command(app)


def _follow(steps: Iterable[Path], what: str, total: int) -> None:
    for _ in track(steps, what, total, console=console):
        pass


def _new_folder(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: exists and is not an empty folder: give another --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)


def _data(source: Path, names: str) -> DataSet:
    if source.is_file() or not source.exists():
        return DataSet.load(source)
    if (source / "data.yaml").exists():
        return DataSet.load(source / "data.yaml")
    if not names:
        raise ConfigError(f"{source}: has no data.yaml: give the class names with --names")
    found: dict[str, tuple[Path, ...]] = {
        name: (source / "images" / name,) for name in SPLITS if (source / "images" / name).is_dir()
    }
    if not found and any(path.suffix.lower() in PICTURE_SUFFIXES for path in (source / "images").glob("*")):
        found = {"train": (source / "images",)}
    if not found:
        raise DataError(f"{source}: has no images/train, images/val or images with pictures in it")
    return DataSet(source, tuple(name.strip() for name in names.split(",")), found)


def _ratios(text: str) -> tuple[float, float, float]:
    try:
        train, val, test = (float(part) for part in text.split("/"))
    except ValueError as error:
        raise ConfigError(f"--ratios {text!r}: give three numbers, such as 60/20/20") from error
    return train, val, test


def _show(data: DataSet, findings: Findings) -> None:
    table = Table("class", *data.splits, title=str(data.file))
    for name in data.names:
        table.add_row(name, *(str(findings.boxes[s][name]) for s in data.splits))
    table.add_row("pictures", *(str(findings.pictures[s]) for s in data.splits), style="bold")
    Console().print(table)
    for fault in findings.faults:
        console.print(f"{'error' if fault.is_error else 'warning'}: {fault.file}: {fault.what}", soft_wrap=True)
