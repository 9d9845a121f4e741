"""The pictures of a study's report; an arm has the same colour and marker in all of them."""

import math
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from trap_training.studies.result import RunResult, StudyResult

_COLOURS = ("#5a5a5a", "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c6bb1")
"""Grey for what is compared with, then the palette that Okabe and Ito made for every kind of colour vision."""

_MARKERS = "oDs^vPX*"
_TEACHER_COLOUR, _GRID, _TEXT = "#111111", "#e5e5e5", "#333333"
_DPI = 110
_BLUES = LinearSegmentedColormap.from_list("counts", ["#ffffff", "#9ecae1", "#0072b2"])
_METRIC_NAMES = {"map50": "mAP50", "map50_95": "mAP50-95"}
_CURVES = {
    "train/box_loss": "box loss, training",
    "train/cls_loss": "class loss, training",
    "metrics/mAP50(B)": "mAP50, validation",
    "val/box_loss": "box loss, validation",
    "val/cls_loss": "class loss, validation",
    "metrics/mAP50-95(B)": "mAP50-95, validation",
}


class Style(NamedTuple):
    """How an arm is drawn."""

    color: str
    marker: str


def draw_plots(result: StudyResult, folder: Path) -> list[str]:
    """Draw every picture that the study has content for; returns the names of their files."""
    plots: dict[str, Callable[[StudyResult], Figure]] = {"arms.png": _arms, "compute.png": _compute}
    if result.comparisons:
        plots["comparisons.png"] = _comparisons
    if any(run.curves for run in result.runs):
        plots["curves.png"] = _curves
    plots["confusion.png"] = _confusion
    for name, draw in plots.items():
        _save(draw(result), folder / name)
    return list(plots)


def arm_styles(result: StudyResult) -> dict[str, Style]:
    """Colour and marker of each arm, by its place in the study."""
    return {
        arm: Style(_COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)])
        for place, arm in enumerate(result.arms)
    }


def _save(figure: Figure, file: Path) -> None:
    """Write a picture of 256 colours, a third of the size of one of all."""
    drawn = BytesIO()
    figure.savefig(drawn)
    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _tidy(axes: Axes, grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(color="#999999", labelsize=9)
    if grid != "none":
        axes.grid(axis=grid, color=_GRID)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def _arms(result: StudyResult) -> Figure:
    """Each run of each arm, and the arm's mean."""
    figure = _figure(9, 1.1 + 0.6 * len(result.arms))
    axes = figure.subplots()
    for row, (arm, style) in enumerate(arm_styles(result).items()):
        values = [run.scores.map50_95 for run in result.arms[arm]]
        mean = float(np.mean(values))
        axes.plot([mean, mean], [row - 0.3, row + 0.3], color=style.color, linewidth=2.5)
        axes.scatter(values, [row] * len(values), s=55, alpha=0.75, linewidths=0, **style._asdict())
        axes.annotate(f"{mean:.3f}", (mean, row - 0.34), ha="center", va="bottom", fontsize=9, color=_TEXT)
    if result.teacher is not None:
        value = result.teacher.scores.map50_95
        axes.axvline(value, color=_TEACHER_COLOUR, linestyle="--", linewidth=1, label=f"teacher {value:.3f}")
        figure.legend(loc="outside upper right", frameon=False, fontsize=9)
    axes.set_yticks(range(len(result.arms)), list(result.arms))
    axes.set_ylim(len(result.arms) - 0.4, -0.85)
    axes.set_xlabel("mAP50-95 on the test pictures: a marker a seed, a line their mean")
    _tidy(axes, "x")
    return figure


def _comparisons(result: StudyResult) -> Figure:
    """Each difference with its interval; those that exclude zero are filled."""
    figure = _figure(9, 1.1 + 0.5 * len(result.comparisons))
    axes = figure.subplots()
    styles = arm_styles(result)
    axes.axvline(0, color=_TEXT, linewidth=1)
    for row, pair in enumerate(result.comparisons):
        low, delta, high = (100 * value for value in (pair.found.low, pair.found.delta, pair.found.high))
        color, marker = styles[pair.a]
        axes.plot([low, high], [row, row], color=color, linewidth=2.5, solid_capstyle="butt")
        face = color if pair.found.is_clear else "white"
        axes.plot(delta, row, marker=marker, color=color, markerfacecolor=face, markersize=9, markeredgewidth=1.8)
        axes.annotate(f"{delta:+.2f}", (delta, row - 0.26), ha="center", fontsize=9, color=_TEXT)
    labels = [f"{pair.a} minus {pair.b}, {_METRIC_NAMES[pair.metric]}" for pair in result.comparisons]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.75)
    axes.set_xlabel("points (1 point = 0.01), with 95 % interval; filled: the interval excludes zero")
    _tidy(axes, "x")
    return figure


def _compute(result: StudyResult) -> Figure:
    """What each run cost against what it reached."""
    figure = _figure(9, 4)
    costs: dict[str, Callable[[RunResult], float]] = {
        "pictures seen in training, thousands": lambda run: run.images_seen / 1000,
        "training time, minutes": lambda run: run.seconds / 60,
    }
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (label, cost) in zip(panels, costs.items(), strict=True):
        for arm, style in arm_styles(result).items():
            runs = result.arms[arm]
            places = [cost(run) for run in runs]
            values = [run.scores.map50_95 for run in runs]
            axes.scatter(places, values, s=28, alpha=0.45, linewidths=0, **style._asdict())
            mean = (np.mean(places), np.mean(values))
            axes.scatter(*mean, s=110, edgecolors="white", label=arm, **style._asdict())
        axes.set_xlim(0, 1.08 * max(map(cost, result.runs)) or 1)
        axes.set_xlabel(label)
        _tidy(axes, "both")
    panels[0].set_ylabel("mAP50-95 on the test pictures")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def _curves(result: StudyResult) -> Figure:
    """Losses and metrics by epoch: mean over seeds, and the band between the lowest and the highest."""
    figure = _figure(9.5, 5.4)
    for axes, (column, label) in zip(figure.subplots(2, 3).flat, _CURVES.items(), strict=True):
        for arm, style in arm_styles(result).items():
            table = _stacked([run.curves[column] for run in result.arms[arm] if column in run.curves])
            if table.size:
                epochs = np.arange(1, table.shape[1] + 1)
                axes.plot(epochs, table.mean(axis=0), color=style.color, linewidth=1.6, label=arm)
                axes.fill_between(epochs, table.min(axis=0), table.max(axis=0), color=style.color, alpha=0.15, lw=0)
        axes.set_title(label, fontsize=10, color=_TEXT)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        _tidy(axes, "y")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    figure.supxlabel("epoch: mean over seeds, band from the lowest to the highest", fontsize=10)
    return figure


def _stacked(curves: list[tuple[float, ...]]) -> NDArray[np.float64]:
    """Curves of several seeds as (seeds, epochs), as far as all of them go."""
    shortest = min(map(len, curves), default=0)
    return np.array([curve[:shortest] for curve in curves], np.float64).reshape(len(curves), shortest)


def _confusion(result: StudyResult) -> Figure:
    """The confusion matrix of each arm's median seed; shades are shares of a row, numbers are counts."""
    columns = min(3, len(result.arms))
    rows = math.ceil(len(result.arms) / columns)
    figure = _figure(1 + 2.9 * columns, 0.6 + 2.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(result.arms) :]:
        axes.set_visible(False)
    for place, (axes, arm) in enumerate(zip(panels.flat, result.arms, strict=False)):
        run = result.median_run(arm)
        _draw_matrix(axes, run)
        axes.tick_params(labelbottom=place + columns >= len(result.arms))
        axes.set_title(f"{arm}, seed {run.seed}", fontsize=10, color=_TEXT)
    figure.supylabel("label", fontsize=10)
    figure.supxlabel("found (confidence 0.25, IoU 0.5)", fontsize=10)
    return figure


def _draw_matrix(axes: Axes, run: RunResult) -> None:
    counts = run.scores.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1, aspect="auto")
    size = 9 if len(counts) <= 4 else 7
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.6 else _TEXT
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=size, color=color)
    names = [*run.scores.names, "background"]
    slant: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(names)), names, fontsize=8, **slant)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_color("#cccccc")
