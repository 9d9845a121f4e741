"""trap-data: render, import, tile, split, augment, check and show pictures."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from trap_contract.command import run_command
from trap_contract.dataset import SPLITS, UNLABELLED, DataSet
from trap_contract.errors import ConfigError, DataError
from trap_contract.pictures import PICTURE_SUFFIXES
from trap_contract.tiling import DEFAULT_OVERLAP, tile_grid

from trap_training.pictures.augmenting import augment_dataset
from trap_training.pictures.balance import balance_table, count_boxes, draw_balance
from trap_training.pictures.checking import Findings, check_dataset
from trap_training.pictures.importing import Format, Summary, read_foreign, write_imported
from trap_training.pictures.rendering import render_dataset
from trap_training.pictures.splitting import assign_splits, draw_subset, write_splits
from trap_training.pictures.tiling import tile_dataset
from trap_training.places import new_folder

app = typer.Typer(help="Pictures for training.", no_args_is_help=True, add_completion=False)
console = Console(stderr=True)
CORES = os.cpu_count() or 1

Out = Annotated[Path, typer.Option("--out", help="Folder to write, new or empty.")]
Source = Annotated[Path, typer.Argument(help="data.yaml, or a folder with images/SPLIT.")]
Jobs = Annotated[int, typer.Option(help="Processes.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Names = Annotated[str, typer.Option(help="Class names, with commas, where no data.yaml is.")]
Group = Annotated[str | None, typer.Option(help="Expression; names with equal matches stay together.")]


@app.command()
def render(
    *,
    out: Out,
    train: Annotated[int, typer.Option(help="Training pictures.", min=1)] = 2000,
    val: Annotated[int, typer.Option(help="Validation pictures.", min=1)] = 400,
    size: Annotated[int, typer.Option(help="Side of a picture, px.", min=64)] = 224,
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.", min=0)] = 0,
    jobs: Jobs = CORES,
) -> None:
    """Draw trap pictures of the five classes, with exact boxes."""
    new_folder(out)
    _follow(render_dataset(out, {"train": train, "val": val}, size, seed, jobs), "rendering", train + val)


@app.command(name="import")
def import_foreign(
    source: Annotated[Path, typer.Argument(help="Folder of a data set, or its .json or .yaml.")],
    *,
    out: Out,
    kind: Annotated[Format, typer.Option("--format", help="What SOURCE is.")] = Format.AUTO,
    names: Annotated[str, typer.Option(help="Class names in the order to number them.")] = "",
    as_json: AsJson = False,
) -> None:
    """Bring COCO, Pascal VOC, YOLO or Roboflow data into this layout."""
    foreign, kind = read_foreign(source, kind, _list(names))
    summary = Summary(kind, foreign.names, foreign.tally)
    new_folder(out)
    _follow(write_imported(foreign, summary, out), "importing", len(foreign.entries))
    if as_json:
        print(json.dumps(asdict(summary)))
        return
    for split, pictures in summary.pictures.items():
        console.print(f"{split}: {pictures} pictures, {summary.boxes[split]} boxes")
    console.print(", ".join(f"{what.replace('_', ' ')}: {count}" for what, count in asdict(summary.tally).items()))


@app.command()
def tile(
    source: Source,
    out: Out,
    size: Annotated[int, typer.Option(help="Side of a tile, px.", min=32)] = 360,
    overlap: Annotated[int, typer.Option(help="Pixels shared by neighbours.", min=0)] = DEFAULT_OVERLAP,
    names: Names = "",
) -> None:
    """Cut large boards into overlapping square tiles with their labels."""
    data = _data(source, names)
    tile_grid(size, size, size, overlap)  # refuses an overlap that does not fit before anything is written
    new_folder(out)
    _follow(tile_dataset(data, out, size, overlap), "tiling", sum(len(data.pictures(s)) for s in data.splits))


@app.command()
def split(
    source: Source,
    *,
    out: Out,
    ratios: Annotated[str, typer.Option(help="Shares of train/val/test.")] = "60/20/20",
    group: Group = None,
    names: Names = "",
    seed: Annotated[int, typer.Option(help="Same seed, same splits.")] = 0,
) -> None:
    """Divide pictures into train, val and test by group; split before you augment."""
    data = _data(source, names)
    pictures = sorted({picture for name in data.splits if name != UNLABELLED for picture in data.pictures(name)})
    splits = assign_splits(pictures, _ratios(ratios), group, seed)
    new_folder(out)
    _follow(write_splits(splits, data.names, out), "copying", len(pictures))
    console.print(", ".join(f"{name}: {len(found)}" for name, found in splits.items()))


@app.command()
def subset(
    source: Source,
    *,
    out: Out,
    train: Annotated[int, typer.Option(help="Least pictures to train on.", min=1)],
    val: Annotated[int, typer.Option(help="Least pictures to choose by.", min=1)],
    group: Group = None,
    names: Names = "",
    seed: Annotated[int, typer.Option(help="Same seed, same subset.")] = 0,
) -> None:
    """Make train and val of a few train pictures, leave the rest unlabelled; val becomes test."""
    data = _data(source, names)
    splits = draw_subset(data, train, val, group, seed)
    new_folder(out)
    _follow(write_splits(splits, data.names, out), "copying", sum(map(len, splits.values())))
    console.print(", ".join(f"{name}: {len(found)}" for name, found in splits.items()))


@app.command()
def check(
    source: Source,
    names: Names = "",
    unlabelled: Annotated[
        Path | None, typer.Option(help="Folder of unlabelled pictures, none of which may be in val or test.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look for broken labels and pictures, and scenes on two sides; exit 1 on errors."""
    data, findings = _data(source, names), Findings()
    if unlabelled is not None:
        data = replace(data, splits={**data.splits, UNLABELLED: (unlabelled.resolve(),)})
    total = sum(len(data.pictures(s)) for s in data.splits)
    _follow(check_dataset(data, findings), "checking", total)
    if as_json:
        faults = [{"file": str(f.file), "what": f.what, "error": f.is_error} for f in findings.faults]
        print(json.dumps({"pictures": findings.pictures, "boxes": findings.boxes, "faults": faults}))
    else:
        Console().print(balance_table(data, findings.pictures, findings.boxes))
        for fault in findings.faults:
            console.print(f"{'error' if fault.is_error else 'warning'}: {fault.file}: {fault.what}", soft_wrap=True)
    raise typer.Exit(0 if findings.is_clean else 1)


@app.command()
def augment(
    source: Source,
    *,
    out: Out,
    variants: Annotated[int, typer.Option(help="Copies a picture.", min=1)] = 3,
    names: Names = "",
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.", min=0)] = 0,
    jobs: Jobs = CORES,
) -> None:
    """Add varied copies of the train pictures; turning and shearing loosen boxes."""
    data = _data(source, names)
    total = sum(len(data.pictures(s)) for s in data.splits) + variants * len(data.pictures("train"))
    new_folder(out)
    _follow(augment_dataset(data, out, variants, seed, jobs), "augmenting", total)


@app.command()
def show(
    source: Source,
    *,
    out: Out,
    names: Names = "",
    seed: Annotated[int, typer.Option(help="Same seed, same sample.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw balance.png, boxes by class and split, and sheet_SPLIT.jpg, a sample with its boxes."""
    from trap_training.pictures.sheets import draw_sheets

    data = _data(source, names)
    pictures, boxes = count_boxes(data)
    new_folder(out)
    draw_balance(data, pictures, boxes, out / "balance.png")
    _follow(draw_sheets(data, out, seed), "drawing", sum(split != UNLABELLED for split in data.splits))
    if as_json:
        print(json.dumps({"pictures": pictures, "boxes": boxes}))
    else:
        Console().print(balance_table(data, pictures, boxes))


def main() -> None:
    """Entry point of trap-data."""
    run_command(app)


def _follow(steps: Iterable[Path], what: str, total: int) -> None:
    for _ in track(steps, what, total, console=console):
        pass


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
    return DataSet(source, _list(names), found)


def _list(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",")) if names else ()


def _ratios(text: str) -> tuple[float, float, float]:
    try:
        train, val, test = (float(part) for part in text.split("/"))
    except ValueError as error:
        raise ConfigError(f"--ratios {text!r}: give three numbers, such as 60/20/20") from error
    return train, val, test
