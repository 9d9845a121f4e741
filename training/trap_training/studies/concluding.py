"""What a study's trained networks amount to: costs added up, arms compared, the result ready to be told."""

import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import yaml

from trap_training.running import TOOLS
from trap_training.studies.comparing import compare
from trap_training.studies.network_facts import network_facts
from trap_training.studies.plan import TEACHER, Study
from trap_training.studies.result import ArmComparison, RunResult, StudyResult, read_curves
from trap_training.studies.trial import Trained

_RESAMPLES = 1000
_REPETITIONS = 30


def conclude(study: Study, trained: list[Trained]) -> StudyResult:
    """The result of the runs there are; arms that have none yet are left out, and so are their comparisons."""
    runs = {(each.arm, each.part.seed): each for each in trained}
    results = {key: _result(study, each, runs) for key, each in runs.items()}
    arms = {
        name: [results[name, seed] for seed in study.seeds if (name, seed) in results]
        for name in study.arms
        if any((name, seed) in results for seed in study.seeds)
    }
    teacher = next((result for (name, _), result in results.items() if name == TEACHER), None)
    return StudyResult(
        name=study.name,
        question=study.question,
        command=shlex.join(["trap-train", *sys.argv[1:]]),
        versions={"python": platform.python_version()} | {tool: version(tool) for tool in TOOLS},
        machine=_machine(),
        settings=_settings(study),
        arms=arms,
        teacher=teacher,
        comparisons=_compared(study, arms),
        limits=_unfinished(study, arms),
    )


def _result(study: Study, each: Trained, runs: dict[tuple[str, int], Trained]) -> RunResult:
    part, legs = each.part, _legs(study, each, runs)
    curves = [leg.part.folder / "results.csv" for leg in legs]
    return RunResult(
        arm=each.arm,
        seed=part.seed,
        scores=each.scores,
        seconds=sum(leg.part.seconds for leg in legs),
        images_seen=sum(leg.images_seen for leg in legs),
        teacher_pictures=sum(leg.teacher_pictures for leg in legs),
        epochs=sum(leg.part.epochs for leg in legs),
        curves=read_curves(*curves) if all(file.exists() for file in curves) else {},
        network=network_facts(part.best, study.imgsz, _REPETITIONS),
    )


def _legs(study: Study, each: Trained, runs: dict[tuple[str, int], Trained]) -> list[Trained]:
    """The trainings behind a network: those of the arms it went on from, then its own."""
    start = study.arms[each.arm].start if each.arm in study.arms else None
    return [*_legs(study, runs[start, each.part.seed], runs), each] if start else [each]


def _compared(study: Study, arms: dict[str, list[RunResult]]) -> list[ArmComparison]:
    found = []
    for pair in study.comparisons:
        if pair.a in arms and pair.b in arms:
            seeds = {run.seed for run in arms[pair.a]} & {run.seed for run in arms[pair.b]}
            a, b = ([run.scores for run in arms[name] if run.seed in seeds] for name in (pair.a, pair.b))
            rng = np.random.default_rng(0)
            found.append(ArmComparison(pair.a, pair.b, "map50_95", compare(a, b, "map50_95", _RESAMPLES, rng)))
    return found


def _unfinished(study: Study, arms: dict[str, list[RunResult]]) -> tuple[str, ...]:
    done, wanted = sum(map(len, arms.values())), len(study.arms) * len(study.seeds)
    return () if done == wanted else (f"The rest of the study: {done} of its {wanted} runs are finished.",)


def _settings(study: Study) -> str:
    """The study as YAML, with models by name: where they lie is this machine's matter."""
    content = study.model_dump(mode="json", exclude={"name", "question", "data", "comparisons"}, exclude_unset=True)
    for network in (content["teacher"], *content["arms"].values()):
        if network.get("model"):
            network["model"] = Path(network["model"]).name
    return str(yaml.safe_dump(content, sort_keys=False))


def _machine() -> str:
    """Processor, cores and memory of this machine."""
    cpu = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"
