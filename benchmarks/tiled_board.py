r"""A 1920 x 1080 board in 28 tiles: frames a second with and without skipping the tiles that did not change.

Both ways see the same frames in one process, interleaved: each frame is done once either way, and the order turns. The
board is drawn by trap_scene and lies still under a camera with noise; now and then an insect comes to a free place.

    benchmarks/tiled_board.py --model models/yolov8n_kd.tflite --threads 2

Each thread looks at tiles of its own. What it shows: how fast all tiles are looked at, what skipping is worth on this
processor at this rate of arrivals, and that it reports the same boxes.
What it does not show: a Raspberry Pi, a board on which many insects walk all the time, or a light that flickers.
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trap_agent.regions import Regions
from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.tiling import tile_grid
from trap_scene import render_board

GOAL_FPS = 25.0
ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT, TILE = 1920, 1080, 360
INSECTS = 60
NOISE = 2.0
"""Grey levels of the camera's noise, standard deviation."""

EVERY = 10
"""Frames from one arrival to the next."""

Pixels = NDArray[np.uint8]


def main() -> None:
    """Time both ways and print a table or JSON; fails when skipping is slower than the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "yolov8n_kd.tflite")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--threshold", type=float, help="least score that counts; default: the model's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    detector = Detector.load(flags.model, flags.threads, flags.threshold, tiled=True)
    result = measure(detector, flags.frames, flags.seed) | {"model": flags.model.name, "threads": flags.threads}
    print(json.dumps(result) if flags.json else as_table(result))
    if result["fps_skipping"] < GOAL_FPS:
        sys.exit(f"error: {result['fps_skipping']} frames/s with skipping, and {GOAL_FPS:g} are asked for")


def frames(count: int, seed: int) -> Iterator[Pixels]:
    """The board again and again, with new noise, and one more insect every EVERY frames."""
    rng = np.random.default_rng(seed)
    board = render_board(rng, WIDTH, HEIGHT, INSECTS).pixels
    guests = render_board(rng, WIDTH, HEIGHT, INSECTS)
    grains = [rng.normal(0, NOISE, board.shape).astype(np.int16) for _ in range(4)]
    for number in range(count):
        if number % EVERY == EVERY - 1:
            x0, y0, x1, y1 = map(int, guests.truth[number // EVERY % len(guests.truth)].box)
            board[y0:y1, x0:x1] = guests.pixels[y0:y1, x0:x1]
        yield (board + grains[number % len(grains)]).clip(0, 255).astype(np.uint8)


def measure(detector: Detector, count: int, seed: int) -> dict[str, Any]:
    """Frames a second over all frames but the first, either way, and how much the boxes differ."""
    regions = Regions(detector)
    seconds: dict[str, list[float]] = {"skipping": [], "all": []}
    difference = total = 0
    for number, pixels in enumerate(frames(count, seed)):
        found: dict[str, Detections] = {}
        for way in ("skipping", "all") if number % 2 else ("all", "skipping"):
            begun = perf_counter()
            found[way] = (regions if way == "skipping" else detector).detect_tiled(pixels, TILE)
            seconds[way].append(perf_counter() - begun)
        difference += abs(len(found["all"]) - len(found["skipping"]))
        total += len(found["all"])
    rates = {f"fps_{way}": round((count - 1) / sum(spent[1:]), 1) for way, spent in seconds.items()}
    tails = {f"p95_ms_{way}": round(1000 * float(np.percentile(spent[1:], 95)), 1) for way, spent in seconds.items()}
    tiles = len(tile_grid(WIDTH, HEIGHT, TILE))
    looked = {"tiles": tiles, "looked_share": round(regions.looked / (tiles * count), 4)}
    return {**rates, **tails, **looked, "frames": count, "count_difference": round(difference / max(total, 1), 4)}


def as_table(result: dict[str, Any]) -> str:
    """Markdown, with what it was measured by and on."""
    lines = ["| way | frames/s | p95 ms | goal |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {result[f'fps_{way}']} | {result[f'p95_ms_{way}']} | >= {GOAL_FPS:g} |"
        for way, name in (("all", f"all {result['tiles']} tiles"), ("skipping", "changed tiles only"))
    ]
    lines += ["", f"Tiles looked at when skipping: {result['looked_share']:.1%}; counts differ by"]
    lines[-1] += f" {result['count_difference']:.2%}. {result['frames']} frames, model {result['model']},"
    lines[-1] += f" {result['threads']} threads."
    tools = ", ".join(f"{name} {version(name)}" for name in ("ai-edge-litert", "opencv-python-headless", "numpy"))
    return "\n".join([*lines, f"{tools}, Python {platform.python_version()}, {platform.machine()}."])


if __name__ == "__main__":
    main()
