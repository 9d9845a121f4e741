"""Timing things against each other: round by round, each once a round, in an order that turns."""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from trap_agent.benching.samples import Samples

_WARM_SHARE = 0.1
"""Of the progress that is shown."""

Name = TypeVar("Name")
Run = Callable[[int], object]
"""What is timed; it is told the number of the round, to choose its frame by."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Warm up for so many rounds and seconds at least, then measure for so many."""

    warm_rounds: int
    warm_s: float
    rounds: int
    seconds: float


def interleave(
    runs: Mapping[Name, Run], plan: Plan, clock: Callable[[], float], on_progress: Callable[[float], object]
) -> dict[Name, Samples]:
    """Seconds of each run in each round, shape (rounds,).

    A machine that warms up or slows down slows all of them alike. The collector of garbage waits meanwhile.
    `on_progress` is told the share of the plan that is done.
    """
    _repeat(runs, plan.warm_rounds, plan.warm_s, clock, lambda share: on_progress(_WARM_SHARE * share))
    gc.collect()
    gc.disable()
    try:
        rows = _repeat(
            runs, plan.rounds, plan.seconds, clock, lambda share: on_progress(_WARM_SHARE + (1 - _WARM_SHARE) * share)
        )
    finally:
        gc.enable()
    return {name: np.array([row[name] for row in rows]) for name in runs}


def _repeat(
    runs: Mapping[Name, Run],
    rounds: int,
    seconds: float,
    clock: Callable[[], float],
    on_progress: Callable[[float], object],
) -> list[dict[Name, float]]:
    rows: list[dict[Name, float]] = []
    begun, names = clock(), list(runs)
    while len(rows) < rounds or clock() - begun < seconds:
        turn = len(rows) % len(names)
        rows.append({name: _timed(runs[name], len(rows), clock) for name in (*names[turn:], *names[:turn])})
        on_progress(min(len(rows) / max(rounds, 1), (clock() - begun) / seconds if seconds else 1.0))
    return rows


def _timed(run: Run, number: int, clock: Callable[[], float]) -> float:
    begun = clock()
    run(number)
    return clock() - begun
