"""How many boxes of each class every split has, as a table and as a picture."""

from collections import Counter
from pathlib import Path

from rich.table import Table
from trap_contract.dataset import UNLABELLED, DataSet, read_labels
from trap_contract.errors import DataError

SPLIT_COLOURS = {"train": "#0072b2", "val": "#e69f00", "test": "#009e73"}
"""Of the palette that Okabe and Ito made for every kind of colour vision."""

_BARS = 0.78  # of the distance between classes, for the bars of all splits


def count_boxes(data: DataSet) -> tuple[dict[str, int], dict[str, Counter[str]]]:
    """Pictures of each split, and boxes by split and class.

    Raises DataError for a label text that is malformed or has a class without a name.
    """
    found = {split: data.pictures(split) for split in data.splits}
    boxes = {split: Counter[str]() for split in found}
    for split, pictures in found.items():
        for picture in pictures if split != UNLABELLED else ():
            boxes[split].update(class_names(data, picture))
    return {split: len(pictures) for split, pictures in found.items()}, boxes


def class_names(data: DataSet, picture: Path) -> list[str]:
    """The name of each box's class in a picture.

    Raises DataError as `count_boxes`.
    """
    classes = read_labels(picture).classes
    if (classes >= len(data.names)).any():
        raise DataError(f"{picture}: class {classes.max()} is not among the {len(data.names)} names: mend its label")
    return [data.names[number] for number in classes]


def balance_table(data: DataSet, pictures: dict[str, int], boxes: dict[str, Counter[str]]) -> Table:
    """Boxes by class and split, and the pictures of each split."""
    table = Table("class", *data.splits, title=str(data.file))
    for name in data.names:
        table.add_row(name, *(str(boxes[split][name]) for split in data.splits))
    table.add_row("pictures", *(str(pictures[split]) for split in data.splits), style="bold")
    return table


def draw_balance(data: DataSet, pictures: dict[str, int], boxes: dict[str, Counter[str]], file: Path) -> None:
    """Draw a bar for each class and labelled split, with its number."""
    from matplotlib.figure import Figure

    splits = [split for split in data.splits if split != UNLABELLED]
    figure = Figure(figsize=(9, 1.6 + 0.75 * len(data.names)), dpi=120, layout="constrained")
    axes, bar = figure.subplots(), _BARS / len(splits)
    for place, split in enumerate(splits):
        counts = [boxes[split][name] for name in data.names]
        rows = [row + (place - (len(splits) - 1) / 2) * bar for row in range(len(data.names))]
        label = f"{split}: {sum(counts):,} boxes in {pictures[split]:,} pictures"
        bars = axes.barh(rows, counts, height=bar * 0.9, color=SPLIT_COLOURS[split], label=label)
        axes.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=8, color="#444444")
    axes.set_yticks(range(len(data.names)), data.names)
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set_xlabel("boxes")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=1, frameon=False, fontsize=9)
    figure.savefig(file)
