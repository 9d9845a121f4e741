"""A made-up study with everything that a report tells."""

import numpy as np
from trap_training.studies.comparing import compare
from trap_training.studies.network_facts import NetworkFacts
from trap_training.studies.result import ArmComparison, Curves, RunResult, StudyResult

from training.scored import make_scores

ARMS = {
    "normal": (0.60, 20),
    "native": (0.61, 20),
    "ours": (0.72, 20),
    "ours_retrained": (0.74, 30),
    "normal_long": (0.64, 30),
    "relu_ours": (0.70, 20),
}
"""Quality and epochs."""

TRAIN_PICTURES = 640


def make_run(arm: str, quality: float, epochs: int, seed: int) -> RunResult:
    rng = np.random.default_rng([seed, epochs])
    taught = arm.startswith(("native", "ours", "relu"))
    images = epochs * TRAIN_PICTURES
    facts = NetworkFacts(129, 3_011_823, 8.2, 6_237_000, 21.5 + seed, 26.0 + seed, f"{arm}{seed}".encode().hex() * 4)
    scores = make_scores(quality, sum(arm.encode()) + seed, pictures=120)
    seconds = images * (0.10 + 0.02 * taught) + rng.uniform(0, 40)
    return RunResult(arm, seed, scores, seconds, images, images * taught, epochs, _curves(quality, epochs, rng), facts)


def _curves(quality: float, epochs: int, rng: np.random.Generator) -> Curves:
    learnt = 1 - np.exp(-np.arange(1, epochs + 1) / 6)
    losses = {f"{part}/{term}_loss": 3 - 2 * quality * learnt for part in ("train", "val") for term in ("box", "cls")}
    metrics = {"metrics/mAP50(B)": quality * learnt, "metrics/mAP50-95(B)": 0.6 * quality * learnt}
    return {column: tuple(curve + rng.normal(0, 0.01, epochs)) for column, curve in (losses | metrics).items()}


def make_study(resamples: int = 100) -> StudyResult:
    arms = {arm: [make_run(arm, *how, seed) for seed in range(3)] for arm, how in ARMS.items()}
    pairs = (("ours", "normal"), ("ours", "native"), ("ours_retrained", "normal_long"), ("relu_ours", "ours"))
    rng = np.random.default_rng(0)
    scores = {arm: [run.scores for run in runs] for arm, runs in arms.items()}
    comparisons = [
        ArmComparison(a, b, "map50_95", compare(scores[a], scores[b], "map50_95", resamples, rng)) for a, b in pairs
    ]
    return StudyResult(
        name="made-up",
        question="does teaching help a small network?",
        command="trap-train study made_up.yaml",
        versions={"torch": "2.14.1", "ultralytics": "8.4.190"},
        machine="2 cores, no accelerator",
        settings="imgsz: 224\nbatch: 16",
        arms=arms,
        teacher=make_run("teacher", 0.8, 40, 0),
        comparisons=comparisons,
        limits=("Anything: its numbers are made up.",),
    )
