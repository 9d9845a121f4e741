r"""Arrivals counted by tracking on rendered videos of 20 to 200 insects that come, sit, cross each other and leave.

Every video is drawn by trap_scene, whose truth names each visit. The tracker is given, frame by frame, (a) the true
boxes as a middling detector would see them: 10 % missed, 10 % of the insects hidden for up to 1.8 s in every 6 s, box
sides off by 5 %, 15 % in a wrong class, now and then a false one, boxes that overlap by half suppressed; and (b), with
--model, what a real bundle finds in the drawn pixels, in tiles.

    benchmarks/arrivals.py --seeds 5 --model models/yolov8n_kd.tflite

What it shows: how far tracking is from the true number of arrivals when detection is so good. What it does not show: a
real trap, insects that fly over the board for long or land on one another, or how well a class is told: the error is
that of the sum over all classes. Truth leaves out who came in the first 2 s, which count as having been there, and who
came in the last 1.3 s, which can't be confirmed any more.
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from trap_agent.arrivals import ArrivalCounter
from trap_agent.tracking import OCCLUSION_S
from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.suppression import suppress
from trap_scene import CLASSES, Labelled, Video

GOAL_PERCENT = 5.0
FPS = 5.0
LATEST_S = 1.3
SIZES = {20: (448, 448), 50: (640, 480), 100: (960, 720), 200: (1280, 960)}
"""Width and height of the board by arrivals a minute."""

WALKERS = 0.2
TILE = 224
MISSED, HIDDEN, JITTER, MISLABELLED, FALSE = 0.1, 0.1, 0.05, 0.15, 0.02


def main() -> None:
    """Count every video and print a table or JSON; fails when the mean error on true boxes is above the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--insects", type=int, nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=5, help="videos of each size")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a video")
    parser.add_argument("--model", type=Path, help="also count what this bundle finds in the pixels")
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    detector = Detector.load(flags.model) if flags.model else None
    plan = [(insects, seed) for insects in flags.insects for seed in range(1, flags.seeds + 1)]
    console = Console(stderr=True)
    shown = track(plan, "Counting", console=console, disable=not console.is_terminal)
    rows = [row for insects, seed in shown for row in Film(insects, seed, flags.seconds).rows(detector)]
    result = {"fps": FPS, "seconds": flags.seconds, "sums": sums(rows), "videos": rows}
    print(json.dumps(result) if flags.json else as_table(result))
    if any(abs(one["error_percent"]) > GOAL_PERCENT for one in result["sums"] if one["boxes"] == "true"):
        sys.exit(f"error: arrivals are more than {GOAL_PERCENT:g} % off on true boxes")


@dataclass(frozen=True, slots=True)
class Film:
    """One video: so many arrivals a minute, a seed, a length."""

    insects: int
    seed: int
    length_s: float

    def rows(self, detector: Detector | None) -> Iterator[dict[str, Any]]:
        """Truth and count, on true boxes and with the model."""
        video = Video(self.seed, *SIZES[self.insects], FPS, float(self.insects), walkers=WALKERS)
        counters = {"true": ArrivalCounter(len(CLASSES))}
        if detector is not None:
            counters["model"] = ArrivalCounter(len(detector.manifest.classes))
        rng = np.random.default_rng([self.seed, self.insects])
        came: dict[int, float] = {}
        for index in range(round(self.length_s * FPS)):
            at_s = index / FPS
            picture = video.frame(index)
            visits = {visit.ordinal: visit.start_s for visit in video.visits(at_s)}
            came |= visits
            hidden = [_is_hidden(self.seed, ordinal, at_s) for ordinal in visits]
            counters["true"].update(_sighted(picture.truth, hidden, picture.pixels.shape, rng), at_s)
            if detector is not None:
                counters["model"].update(detector.detect_tiled(picture.pixels, TILE), at_s)
        truth = sum(OCCLUSION_S < begun_s <= self.length_s - LATEST_S for begun_s in came.values())
        for boxes, counter in counters.items():
            counted = int(counter.take().counts.sum())
            yield {"insects": self.insects, "seed": self.seed, "boxes": boxes, "truth": truth, "counted": counted}


def sums(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each size and kind of boxes: sums, the error of the sum, and the videos' errors from worst to best."""
    result = []
    for kind in ("true", "model"):
        for insects in sorted({row["insects"] for row in rows if row["boxes"] == kind}):
            part = [row for row in rows if (row["insects"], row["boxes"]) == (insects, kind)]
            truth, counted = (sum(row[name] for row in part) for name in ("truth", "counted"))
            errors = [_percent(row["counted"], row["truth"]) for row in part]
            spread = {"least_percent": min(errors), "most_percent": max(errors)}
            sizes = {"insects": insects, "boxes": kind, "videos": len(part), "truth": truth, "counted": counted}
            result.append({**sizes, "error_percent": _percent(counted, truth), **spread})
    return result


def as_table(result: dict[str, Any]) -> str:
    """Markdown, with what it was measured by and on."""
    lines = ["| arrivals a minute | boxes | videos | true arrivals | counted | error | of single videos |"]
    lines += ["|---|---|---|---|---|---|---|"]
    lines += [
        f"| {one['insects']} | {one['boxes']} | {one['videos']} | {one['truth']} | {one['counted']} "
        f"| {one['error_percent']:+.1f} % | {one['least_percent']:+.1f} to {one['most_percent']:+.1f} % |"
        for one in result["sums"]
    ]
    tools = ", ".join(f"{name} {version(name)}" for name in ("lap", "numpy", "opencv-python-headless"))
    lines += ["", f"Videos of {result['seconds']:g} s at {result['fps']:g} frames/s, {WALKERS:.0%} walk across."]
    return "\n".join([*lines, f"{tools}, Python {platform.python_version()}, {platform.machine()}."])


def _sighted(
    truth: tuple[Labelled, ...], hidden: list[bool], shape: tuple[int, ...], rng: np.random.Generator
) -> Detections:
    """True boxes as a middling detector sees them."""
    shown = [one for one, is_hidden in zip(truth, hidden, strict=True) if not is_hidden and rng.random() >= MISSED]
    boxes: NDArray[Any] = np.array([one.box for one in shown]).reshape(-1, 4)
    boxes = boxes + rng.normal(0, JITTER, boxes.shape) * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    false = rng.uniform(0, 1, (rng.poisson(FALSE), 2)) * [shape[1], shape[0]]
    boxes = np.concatenate([boxes, np.concatenate([false - 20, false + 20], axis=1)])
    labels = np.array([one.label for one in shown] + [0] * len(false), np.int64)
    wrong = rng.random(len(labels)) < MISLABELLED
    labels = np.where(wrong, rng.integers(0, len(CLASSES), len(labels)), labels).astype(np.int64)
    scores = rng.uniform(0.4, 0.9, len(labels)).astype(np.float32)
    return suppress(Detections(boxes.astype(np.float32), scores, labels), 0.5, class_aware=False)


def _is_hidden(seed: int, ordinal: int, at_s: float) -> bool:
    dice = np.random.default_rng([seed, ordinal, int(at_s // 6)])
    begun_s, length_s = dice.uniform(0, 4), dice.uniform(0.3, 1.8)
    return bool(dice.random() < HIDDEN and 0 <= at_s % 6 - begun_s < length_s)


def _percent(counted: int, truth: int) -> float:
    return round(100 * (counted - truth) / max(truth, 1), 1)


if __name__ == "__main__":
    main()
