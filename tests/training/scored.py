"""Made-up networks of a chosen quality on made-up pictures, for what is computed from scores."""

import numpy as np
from trap_training.studies.scoring import Scores, scores_of

NAMES = ("Male", "Female", "Undefined")
PICTURES = 40
_FALSE_PER_PICTURE = 6


def make_scores(quality: float, seed: int, pictures: int = PICTURES, names: tuple[str, ...] = NAMES) -> Scores:
    """A network that finds an insect with probability `quality`; every network sees the same insects."""
    truths = _truths(pictures, len(names))
    rng = np.random.default_rng(seed)
    kept = {"tp": [], "conf": [], "pred_cls": [], "target_cls": truths}
    confusion = np.zeros((len(names) + 1, len(names) + 1))
    for truth in truths:
        is_found = rng.random(len(truth)) < quality
        overlaps = np.clip(rng.normal(0.55 + 0.4 * quality, 0.15, is_found.sum()), 0.5, 0.99)
        false = rng.integers(len(names), size=rng.integers(_FALSE_PER_PICTURE))
        right = overlaps[:, None] >= np.linspace(0.5, 0.95, 10)
        kept["tp"].append(np.concatenate([right, np.zeros((len(false), 10), bool)]))
        kept["conf"].append(np.concatenate([rng.beta(4, 2, len(right)), rng.beta(1.2, 4, len(false))]))
        kept["pred_cls"].append(np.concatenate([truth[is_found], false]).astype(float))
        np.add.at(confusion, (truth, np.where(is_found, truth, len(names))), 1)
        np.add.at(confusion, (np.full(len(false), len(names)), false), 1)
    return scores_of(names, [f"{number:03}.png" for number in range(pictures)], kept, confusion)


def _truths(pictures: int, classes: int) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.integers(classes, size=rng.integers(5)) for _ in range(pictures)]
