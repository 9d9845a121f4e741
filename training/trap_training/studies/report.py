"""A study as a folder for the documents: report.md to read, report.json to compute with, and pictures."""

import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from trap_training.studies.plots import draw_plots
from trap_training.studies.result import ArmComparison, RunResult, StudyResult
from trap_training.studies.scoring import ClassScores

_FIRST_CLASSES = ("female", "male")
_METRIC_NAMES = {"map50": "mAP50", "map50_95": "mAP50-95"}
_MORE_COMPUTE = 1.05
_FEW_SEEDS = 5
_CAPTIONS = {
    "comparisons.png": "Differences between arms, with intervals",
    "arms.png": "Every run of every arm",
    "compute.png": "Compute against accuracy: small markers are runs, large ones means",
    "curves.png": "Losses and metrics by epoch",
    "confusion.png": "Confusion matrices of each arm's median seed",
}


def report_study(result: StudyResult, folder: Path) -> Path:
    """Write report.md, report.json and the pictures; returns report.md.

    Raises DataError when an arm that is to be told of has no run.
    """
    result.check()
    folder.mkdir(parents=True, exist_ok=True)
    plots = draw_plots(result, folder)
    (folder / "report.json").write_text(json.dumps(as_json(result), indent=1) + "\n")
    file = folder / "report.md"
    file.write_text(as_markdown(result, plots))
    return file


def as_json(result: StudyResult) -> dict[str, Any]:
    """The study's numbers; accuracies and differences are fractions of 1."""
    return {
        "name": result.name,
        "command": result.command,
        "versions": result.versions,
        "machine": result.machine,
        "arms": {arm: {"runs": [_run_json(run) for run in runs]} for arm, runs in result.arms.items()},
        "teacher": result.teacher and _run_json(result.teacher),
        "comparisons": [
            {"a": pair.a, "b": pair.b, "metric": pair.metric, **asdict(pair.found)} for pair in result.comparisons
        ],
    }


def as_markdown(result: StudyResult, plots: list[str]) -> str:
    """The report as a document that shows those of the named pictures that there are."""
    sections = [
        f"# Study: {result.name}",
        "\n".join(f"- {answer(pair)}" for pair in result.comparisons),
        f"Asked: {result.question}",
        _compared(result) if result.comparisons else "",
        _picture("comparisons.png", plots),
        "## Arms",
        _arms(result),
        _picture("arms.png", plots),
        "## Classes",
        _classes(result),
        _picture("confusion.png", plots),
        "## Compute",
        _compute(result),
        _picture("compute.png", plots),
        "## Teacher and student",
        _networks(result),
        "## Training",
        _picture("curves.png", plots),
        "## All samples",
        _samples(result),
        "## What this does not show",
        "\n".join(f"- {limit}" for limit in _limits(result)),
        "## How it was made",
        _made(result),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def answer(pair: ArmComparison) -> str:
    """What a comparison says, in one line that follows from its interval alone."""
    found, metric = pair.found, _METRIC_NAMES[pair.metric]
    interval = f"95 % interval {100 * found.low:+.2f} to {100 * found.high:+.2f}"
    if not found.is_clear:
        return (
            f"**{pair.a} against {pair.b}: no difference shown** in {metric}: "
            f"{100 * found.delta:+.2f} points; {interval} includes zero."
        )
    side = "above" if found.low > 0 else "below"
    size = f"{abs(100 * found.delta):.2f} points of {metric}"
    return f"**{pair.a} is {size} {side} {pair.b}**; {interval} excludes zero."


def class_order(names: Iterable[str]) -> list[str]:
    """Female and male first, the others as they come."""
    return sorted(names, key=lambda name: [*_FIRST_CLASSES, name.lower()].index(name.lower()))


def _run_json(run: RunResult) -> dict[str, Any]:
    scores = run.scores
    return {
        "seed": run.seed,
        "map50": scores.map50,
        "map50_95": scores.map50_95,
        "precision": scores.precision,
        "recall": scores.recall,
        "classes": {name: asdict(one) for name, one in scores.classes.items()},
        "confusion": scores.confusion.tolist(),
        "seconds": run.seconds,
        "epochs": run.epochs,
        "images_seen": run.images_seen,
        "teacher_pictures": run.teacher_pictures,
        "network": asdict(run.network),
    }


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _picture(name: str, plots: list[str]) -> str:
    return f"![{_CAPTIONS[name]}]({name})" if name in plots else ""


def _spread(values: list[float], digits: int = 3) -> str:
    """Mean and standard deviation of a sample; of one value only the value."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def _compared(result: StudyResult) -> str:
    head = ("a minus b", "metric", "points", "95 % interval", "pictures seen, a/b", "training time, a/b")
    return _table(head, (_compared_row(result, pair) for pair in result.comparisons))


def _compared_row(result: StudyResult, pair: ArmComparison) -> list[str]:
    points = [f"{100 * value:+.2f}" for value in (pair.found.delta, pair.found.low, pair.found.high)]
    costs = [_ratio(result, pair, cost) for cost in (_images, _seconds)]
    ratios = ["-" if ratio is None else f"{ratio:.2f}" for ratio in costs]
    names = (f"{pair.a} minus {pair.b}", _METRIC_NAMES[pair.metric])
    return [*names, points[0], f"{points[1]} to {points[2]}", *ratios]


def _images(run: RunResult) -> float:
    return run.images_seen


def _seconds(run: RunResult) -> float:
    return run.seconds


def _ratio(result: StudyResult, pair: ArmComparison, cost: Callable[[RunResult], float]) -> float | None:
    below = result.mean(pair.b, cost)
    return result.mean(pair.a, cost) / below if below else None


def _arms(result: StudyResult) -> str:
    rows = [(arm, runs) for arm, runs in result.arms.items()]
    if result.teacher is not None:
        rows.append(("*teacher*", [result.teacher]))
    table = _table(("arm", "seeds", "mAP50-95", "mAP50", "precision", "recall"), (_arm_row(*row) for row in rows))
    note = "Mean ± standard deviation over seeds; precision and recall where the mean F1 of the classes is best."
    return f"{table}\n\n{note}"


def _arm_row(arm: str, runs: list[RunResult]) -> list[str]:
    scores = [run.scores for run in runs]
    values = [[one.map50_95, one.map50, one.precision, one.recall] for one in scores]
    return [arm, str(len(runs)), *(_spread(list(column)) for column in zip(*values, strict=True))]


def _classes(result: StudyResult) -> str:
    first = result.runs[0].scores
    names = class_order(first.classes)
    insects = np.bincount(first.truth, minlength=len(first.names))
    head = [f"{name} ({insects[first.names.index(name)]:,})" for name in names]
    metrics: dict[str, Callable[[ClassScores], float]] = {
        "mAP50-95": lambda one: one.map50_95,
        "mAP50": lambda one: one.map50,
    }
    tables = [_table((title, *head), _class_rows(result, names, value)) for title, value in metrics.items()]
    return "\n\n".join([*tables, f"In brackets: insects of the class in {len(first.pictures):,} test pictures."])


def _class_rows(result: StudyResult, names: list[str], value: Callable[[ClassScores], float]) -> list[list[str]]:
    return [
        [arm, *(_spread([value(run.scores.classes[name]) for run in runs]) for name in names)]
        for arm, runs in result.arms.items()
    ]


def _compute(result: StudyResult) -> str:
    head = ("arm", "epochs", "pictures seen", "asked of the teacher", "training seconds", "seconds an epoch")
    table = _table(head, (_compute_row(arm, runs) for arm, runs in result.arms.items()))
    teacher = result.teacher
    if teacher is None or not teacher.seconds:
        return table
    cost = f"{teacher.seconds:,.0f} seconds and {teacher.images_seen:,} pictures"
    return f"{table}\n\nThe teacher's own training took {cost}; no arm's cost includes them."


def _compute_row(arm: str, runs: list[RunResult]) -> list[str]:
    def mean(value: Callable[[RunResult], float], form: str) -> str:
        return format(statistics.fmean(map(value, runs)), form)

    return [
        arm,
        mean(lambda run: run.epochs, ".0f"),
        mean(_images, ",.0f"),
        mean(lambda run: run.teacher_share, ".0%"),
        _spread([run.seconds for run in runs], 0),
        _spread([run.epoch_seconds for run in runs], 1),
    ]


def _networks(result: StudyResult) -> str:
    rows = [(arm, result.median_run(arm)) for arm in result.arms]
    if result.teacher is not None:
        rows.insert(0, ("*teacher*", result.teacher))
    head = ("network", "mAP50-95", "layers", "parameters", "GFLOPs", "MB", "ms, median", "ms, 95 %", "FPS")
    table = _table(head, (_network_row(*row) for row in rows))
    return f"{table}\n\nEach arm's median seed. Time is of one picture's float forward on one CPU thread, without NMS."


def _network_row(arm: str, run: RunResult) -> list[str]:
    network = run.network
    sizes = (f"{network.layers}", f"{network.parameters:,}", f"{network.gflops:.2f}", f"{network.file_bytes / 1e6:.1f}")
    times = (f"{network.milliseconds:.1f}", f"{network.milliseconds_p95:.1f}", f"{network.fps:.0f}")
    return [arm, f"{run.scores.map50_95:.3f}", *sizes, *times]


def _samples(result: StudyResult) -> str:
    head = ("arm", "seed", "mAP50-95", "mAP50", "precision", "recall", "pictures seen", "seconds", "SHA-256 of weights")
    runs = [*result.runs, *filter(None, [result.teacher])]
    return _table(head, map(_sample_row, runs))


def _sample_row(run: RunResult) -> list[str]:
    scores = run.scores
    values = (scores.map50_95, scores.map50, scores.precision, scores.recall)
    cost = (f"{run.images_seen:,}", f"{run.seconds:,.0f}", f"`{run.network.digest[:12]}`")
    return [run.arm, str(run.seed), *(f"{value:.4f}" for value in values), *cost]


def _limits(result: StudyResult) -> list[str]:
    """What no reader should take from the numbers: what follows from them, then what the study itself says."""
    seeds = min(map(len, result.arms.values()))
    limits = [
        f"Other boards: intervals speak of pictures like the {len(result.runs[0].scores.pictures):,} test pictures.",
        "Speed on a trap: milliseconds are of the machine below and of float networks.",
    ]
    if seeds < _FEW_SEEDS:
        limits.append(f"The full spread of training: from {seeds} seeds an arm, intervals are rather too narrow.")
    if len(result.comparisons) > 1:
        limits.append(f"All {len(result.comparisons)} comparisons at once: each interval is right for itself alone.")
    return [*limits, *_compute_warnings(result), *result.limits]


def _compute_warnings(result: StudyResult) -> list[str]:
    costs = {"pictures": _images, "training time": _seconds}
    found = [
        (pair, cost, ratio)
        for pair in result.comparisons
        for cost, measure in costs.items()
        if (ratio := _ratio(result, pair, measure)) is not None and ratio > _MORE_COMPUTE
    ]
    return [
        f"How {pair.a} compares with {pair.b} at equal compute: it had {ratio:.2f} times the {cost}."
        for pair, cost, ratio in found
    ]


def _made(result: StudyResult) -> str:
    tools = ", ".join(f"{tool} {version}" for tool, version in result.versions.items())
    return "\n\n".join(
        [
            f"```sh\n{result.command}\n```",
            f"{tools}. {result.machine}.",
            "Intervals: paired bootstrap over test pictures and seeds, 95 % percentiles.",
            f"```yaml\n{result.settings.strip()}\n```" if result.settings.strip() else "",
        ]
    ).strip()
