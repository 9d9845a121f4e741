r"""A 1920 x 1080 board in 28 tiles: frames a second with and without skipping the tiles that did not change.

Both ways see the same frames in one process, interleaved, and beside them the bare runtime is called for as many tiles
from as many threads: each frame is done once in each way, and the order turns. The board is drawn by trap_scene and
lies still under a camera with noise; now and then an insect comes to a free place.

    benchmarks/tiled_board.py --model models/yolov8n_kd.tflite --threads 2

Each thread looks at tiles of its own. What it shows: how fast all tiles are looked at, how much of that is the network,
what skipping is worth on this processor at this rate of arrivals, and that it reports the same boxes.
What it does not show: a Raspberry Pi, a board on which many insects walk all the time, or a light that flickers.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trap_agent.regions import Regions
from trap_contract.crew import Crew
from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.runtimes import open_runtime
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

TILES = len(tile_grid(WIDTH, HEIGHT, TILE))
WAYS = ("skipping", "all", "bare")

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
    bare = bare_runtime(flags.model, flags.threads)
    result = measure(detector, bare, flags.frames, flags.seed) | {"model": flags.model.name, "threads": flags.threads}
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


def measure(detector: Detector, bare: Callable[[], object], count: int, seed: int) -> dict[str, Any]:
    """Frames a second over all frames but the first, either way, and how much the boxes differ."""
    regions, seconds = Regions(detector), {way: np.zeros(count) for way in WAYS}
    difference = total = 0
    for number, pixels in enumerate(frames(count, seed)):
        found: dict[str, Detections] = {}
        for turn in range(len(WAYS)):
            way = WAYS[(number + turn) % len(WAYS)]
            begun = perf_counter()
            if way == "bare":
                bare()
            else:
                found[way] = (regions if way == "skipping" else detector).detect_tiled(pixels, TILE)
            seconds[way][number] = perf_counter() - begun
        difference += abs(len(found["all"]) - len(found["skipping"]))
        total += len(found["all"])
    spent = {way: row[1:] for way, row in seconds.items()}
    rates = {f"fps_{way}": round((count - 1) / float(row.sum()), 1) for way, row in spent.items()}
    tails = {f"p95_ms_{way}": round(1000 * float(np.percentile(row, 95)), 1) for way, row in spent.items()}
    over = [round(float(value), 3) for value in np.percentile(spent["all"] / spent["bare"], (50, 25, 75))]
    looked = {"tiles": TILES, "looked_share": round(regions.looked / (TILES * count), 4), "all_over_bare": over}
    return {**rates, **tails, **looked, "frames": count, "count_difference": round(difference / max(total, 1), 4)}


def bare_runtime(model: Path, threads: int) -> Callable[[], object]:
    """Calls the runtime for as many tiles, from as many threads, and does nothing else."""
    crew = Crew([open_runtime(model, 1) for _ in range(threads)])
    spec = crew.workers[0].input
    tensor = np.zeros(spec.shape, spec.dtype)
    return lambda: crew.map(lambda runtime, _: len(runtime.run(tensor)), range(TILES))


def as_table(result: dict[str, Any]) -> str:
    """Markdown, with what it was measured by and on."""
    lines = ["| way | frames/s | p95 ms | goal |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {result[f'fps_{way}']} | {result[f'p95_ms_{way}']} | >= {GOAL_FPS:g} |"
        for way, name in (("all", f"all {TILES} tiles"), ("skipping", "changed tiles only"))
    ]
    median, low, high = result["all_over_bare"]
    lines.append(f"| the bare runtime, {TILES} tiles | {result['fps_bare']} | {result['p95_ms_bare']} | |")
    lines += ["", f"All tiles / bare runtime: {median} ({low} to {high} in the middle half)."]
    lines += ["", f"Tiles looked at when skipping: {result['looked_share']:.1%}; counts differ by"]
    lines[-1] += f" {result['count_difference']:.2%}. {result['frames']} frames, model {result['model']},"
    lines[-1] += f" {result['threads']} threads."
    tools = ", ".join(f"{name} {version(name)}" for name in ("ai-edge-litert", "opencv-python-headless", "numpy"))
    return "\n".join([*lines, f"{tools}, Python {platform.python_version()}, {platform.machine()}."])


if __name__ == "__main__":
    main()
