"""A benchmark run: for every number of threads a fresh process that times all models and scopes against each other."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np
from trap_contract.detector import Detector
from trap_contract.errors import BundleError

from trap_agent.benching.samples import Ratio, Samples, Summary, paired_ratio, spread, summarise
from trap_agent.benching.scopes import Pixels, Scope, Subject
from trap_agent.benching.timing import Plan, interleave

_POLL_S = 0.1

Key = tuple[int, Scope]
"""Which model, by its place in the job, and which scope."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one process measures."""

    models: tuple[Path, ...]
    threads: int
    frames: tuple[Pixels, ...]
    tile: int | None
    threshold: float | None
    plan: Plan


@dataclass(slots=True)
class Measured:
    """All repetitions of one job: samples in seconds, and the most that a process held, in MB."""

    job: Job
    precisions: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    repetitions: list[dict[Key, Samples]] = field(default_factory=list)
    memory_mb: float = 0.0

    def samples(self, model: int, scope: Scope) -> Samples:
        """All samples of one model and scope."""
        return np.concatenate([found[model, scope] for found in self.repetitions])

    def summary(self, model: int, scope: Scope) -> Summary:
        """Of all its samples."""
        return summarise(self.samples(model, scope))

    def spread(self, model: int, scope: Scope) -> float | None:
        """How far apart the processes' medians lie; None of one process."""
        medians = [float(np.median(found[model, scope])) for found in self.repetitions]
        return spread(medians) if len(medians) > 1 else None

    def ratio(self, scope: Scope) -> Ratio:
        """Time of the first model over that of the second."""
        return paired_ratio(self.samples(0, scope), self.samples(1, scope))


def measure_all(jobs: Sequence[Job], processes: int, on_progress: Callable[[float], object]) -> list[Measured]:
    """Measure each job in so many fresh processes, one after the other; `on_progress` is told the share that is done.

    Raises BundleError when a model can't be run.
    """
    found = [Measured(job) for job in jobs]
    whole = len(jobs) * processes
    for number in range(whole):
        at = found[number % len(jobs)]
        outcome = _in_a_process(at.job, partial(_tell, on_progress, number, whole))
        at.precisions, at.backends = outcome.precisions, outcome.backends
        at.repetitions.append(outcome.samples)
        at.memory_mb = max(at.memory_mb, outcome.memory_mb)
    return found


def _tell(on_progress: Callable[[float], object], done: int, whole: int, share: float) -> None:
    on_progress((done + share) / whole)


@dataclass(frozen=True, slots=True)
class _Outcome:
    precisions: tuple[str, ...]
    backends: tuple[str, ...]
    samples: dict[Key, Samples]
    memory_mb: float


_share: "Synchronized[float]"


def _in_a_process(job: Job, on_progress: Callable[[float], object]) -> _Outcome:
    context = get_context("spawn")
    share = context.Value("d", 0.0)
    with ProcessPoolExecutor(1, context, initializer=_remember, initargs=(share,)) as pool:
        future = pool.submit(_run, job)
        for _ in _until_done(future):
            on_progress(share.value)
        try:
            return future.result()
        except BrokenProcessPool as error:
            names = ", ".join(str(model) for model in job.models)
            raise BundleError(f"{names}: the process that ran it died: is there enough memory?") from error


def _until_done(future: Future[_Outcome]) -> Iterator[None]:
    while not wait([future], _POLL_S).done:
        yield


def _remember(share: "Synchronized[float]") -> None:
    global _share  # noqa: PLW0603 - the one way in which a pool hands shared memory to its process
    _share = share


def _run(job: Job) -> _Outcome:
    detectors = [Detector.load(model, job.threads, job.threshold, tiled=job.tile is not None) for model in job.models]
    runs = {
        (place, scope): run
        for place, detector in enumerate(detectors)
        for scope, run in Subject(detector, job.frames, job.tile).scopes().items()
    }
    samples = interleave(runs, job.plan, time.perf_counter, partial(setattr, _share, "value"))
    return _Outcome(
        precisions=tuple(detector.manifest.precision for detector in detectors),
        backends=tuple(detector.backend for detector in detectors),
        samples=samples,
        memory_mb=_peak_memory_mb(),
    )


def _peak_memory_mb() -> float:
    """Not getrusage: its maximum is inherited from the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
