"""What a study found: every run of every arm, the teacher, and the comparisons between arms."""

import csv
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trap_contract.errors import DataError

from trap_training.studies.comparing import Comparison, Metric
from trap_training.studies.network_facts import NetworkFacts
from trap_training.studies.scoring import Scores

Curves = dict[str, tuple[float, ...]]
"""Losses, metrics and rates of Ultralytics' results.csv, a number an epoch; NaN where a training had no such column."""

_CLOCKS = ("epoch", "time")  # both start anew with every training


@dataclass(frozen=True, slots=True)
class RunResult:
    """One arm trained with one seed, or the teacher.

    seconds: wall time of training. images_seen: pictures that passed through it, each as often as it did.
    teacher_pictures: of those, how many the teacher was asked about, live or stored.
    """

    arm: str
    seed: int
    scores: Scores
    seconds: float
    images_seen: int
    teacher_pictures: int
    epochs: int
    curves: Curves
    network: NetworkFacts

    @property
    def epoch_seconds(self) -> float:
        """Mean wall time of an epoch; 0 for a network that was not trained here."""
        return self.seconds / self.epochs if self.epochs else 0.0

    @property
    def teacher_share(self) -> float:
        """Share of the pictures seen that the teacher was asked about."""
        return self.teacher_pictures / self.images_seen if self.images_seen else 0.0


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """Arm a minus arm b."""

    a: str
    b: str
    metric: Metric
    found: Comparison


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A finished study; arms and comparisons in the order in which they are told.

    settings: what every arm shares, as text. limits: what this study does not show, beside what every study doesn't.
    """

    name: str
    question: str
    command: str
    versions: dict[str, str]
    machine: str
    settings: str
    arms: dict[str, list[RunResult]]
    teacher: RunResult | None
    comparisons: list[ArmComparison]
    limits: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise DataError for a study without arms, an arm without runs, or a comparison of an arm without runs."""
        if not self.arms:
            raise DataError(f"study {self.name}: has no arm: nothing to report")
        for arm, runs in self.arms.items():
            if not runs:
                raise DataError(f"study {self.name}: arm {arm} has no finished run: train it, or leave it out")
        for pair in self.comparisons:
            if missing := {pair.a, pair.b} - self.arms.keys():
                raise DataError(f"study {self.name}: compares {', '.join(sorted(missing))}, which has no run")

    @property
    def runs(self) -> list[RunResult]:
        """Every run of every arm, without the teacher."""
        return [run for runs in self.arms.values() for run in runs]

    def mean(self, arm: str, value: Callable[[RunResult], float]) -> float:
        """Mean over an arm's seeds."""
        return statistics.fmean(map(value, self.arms[arm]))

    def median_run(self, arm: str) -> RunResult:
        """The run in the middle by mAP50-95; of an even number the lower of the two."""
        runs = sorted(self.arms[arm], key=lambda run: run.scores.map50_95)
        return runs[(len(runs) - 1) // 2]


def read_curves(*files: Path) -> Curves:
    """The curves of one or more trainings that followed each other.

    A leg that was broken off may have written an epoch that the next one wrote again: the last row counts.
    Raises DataError when a file is missing or malformed.
    """
    rows = [row for file in files for row in _rows(file)]
    columns = dict.fromkeys(column for row in rows for column in row if column not in _CLOCKS)
    return {column: tuple(row.get(column, math.nan) for row in rows) for column in columns}


def _rows(file: Path) -> list[dict[str, float]]:
    try:
        with file.open(newline="") as stream:
            table = [{key.strip(): float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
        return list({row["epoch"]: row for row in table}.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: not the curves of a training: train it again ({error})") from error
