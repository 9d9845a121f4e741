r"""The agent's whole step, frame in memory to counts, beside the bare runtime and beside Ultralytics' `predict`.

Everything runs in one process on the same frames with the same threads, interleaved: each round does each once, and the
order turns. Ratios are medians of the rounds' ratios, with the range of their middle half.

    benchmarks/agent_speed.py                     # our bundle alone: what the agent adds to the runtime
    benchmarks/agent_speed.py --weights runs/N/student/weights/best.pt --data runs/data/N/data.yaml

With --weights, Ultralytics exports them to INT8 TFLite by itself, calibrated on the train pictures of --data, and its
`predict` runs that file; the agent runs the same file, and our bundle of --model, which should be of the same weights.

What it shows: what letterbox, decoding, suppression and the window cost on this processor. What it does not show: a
Raspberry Pi, where a runtime call takes ten times as long and all else some five times; capture and delivery, which
have their own threads; tiles (benchmarks/tiled_board.py).
"""

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from trap_agent.benching.conditions import read_conditions, read_machine
from trap_agent.benching.samples import paired_ratio, summarise
from trap_agent.benching.scopes import Pixels, Subject, rendered_frames
from trap_agent.benching.timing import Plan, interleave
from trap_contract.detector import Detector

ROOT = Path(__file__).resolve().parents[1]
BARE, AGENT, AGENT_STOCK, PREDICT = "bare runtime, our bundle", "agent, our bundle", "agent, their export", "predict"
GOALS = {  # of times: the first over the second, at most or at least
    (AGENT, BARE): ("<=", 1.15),
    (PREDICT, AGENT_STOCK): (">=", 1.0),
    (PREDICT, AGENT): (">=", 1.3),
}
FRAMES = 3
TOOLS = ("ai-edge-litert", "opencv-python-headless", "numpy", "ultralytics", "torch")
Run = Callable[[int], object]


def main() -> None:
    """Measure, print a table or JSON; fails when a goal is missed."""
    flags = _flags()
    frames = rendered_frames(FRAMES, *map(int, flags.size.split("x")))
    with redirect_stdout(sys.stderr):
        runs = _runs(flags, frames)
        others = _OtherWork()
        plan = Plan(20, 2.0, flags.rounds, 0.0)
        samples = interleave(runs, plan, perf_counter, lambda _: None)
    ratios = {pair: paired_ratio(samples[pair[0]], samples[pair[1]]) for pair in GOALS if set(pair) <= set(samples)}
    result = {
        "command": " ".join(["benchmarks/agent_speed.py", *sys.argv[1:]]),
        "machine": read_machine().processor,
        "tools": {tool: version(tool) for tool in TOOLS} | {"python": platform.python_version()},
        "threads": flags.threads,
        "frames": f"{FRAMES} drawn, {flags.size}",
        "rounds": flags.rounds,
        "load_before": read_conditions().load,
        "others_cores": round(others.cores(), 2),
        "milliseconds": {name: summarise(row).as_json() for name, row in samples.items()},
        "ratios": [
            {"time_of": above, "over": below, "median": found.median, "low": found.low, "high": found.high}
            for (above, below), found in ratios.items()
        ],
    }
    print(json.dumps(result) if flags.json else as_table(result))
    missed = [pair for pair, found in ratios.items() if not _is_met(pair, found.median)]
    if missed:
        sys.exit("error: missed: " + "; ".join(f"time of {above} / {below}" for above, below in missed))


def as_table(result: dict[str, Any]) -> str:
    """Markdown, with what it was measured by and on."""
    lines = ["| what | p50 ms | p95 | p99 | frames/s |", "|---|---|---|---|---|"]
    for name, found in result["milliseconds"].items():
        columns = " | ".join(f"{found[column]:.2f}" for column in ("p50", "p95", "p99"))
        lines.append(f"| {name} | {columns} | {found['fps']:.0f} |")
    lines += ["", "| time of | over | ratio | middle half | goal |", "|---|---|---|---|---|"]
    for row in result["ratios"]:
        sign, limit = GOALS[row["time_of"], row["over"]]
        middle = f"{row['low']:.3f} to {row['high']:.3f}"
        lines.append(f"| {row['time_of']} | {row['over']} | {row['median']:.3f} | {middle} | {sign} {limit} |")
    lines += ["", f"{result['frames']}, {result['threads']} thread(s), {result['rounds']} rounds, {result['machine']};"]
    lines += [f"other processes used {result['others_cores']} cores meanwhile."]
    return "\n".join([*lines, ", ".join(f"{tool} {number}" for tool, number in result["tools"].items())])


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "yolov8n_kd.tflite", help="our bundle")
    parser.add_argument("--weights", type=Path, help="best.pt of the same student, for Ultralytics")
    parser.add_argument("--data", type=Path, help="data set YAML: its train pictures calibrate")
    parser.add_argument("--stock", type=Path, help="Ultralytics' export, if it is there already")
    parser.add_argument("--keep", type=Path, default=Path("runs/agent_speed"), help="folder for the export")
    parser.add_argument("--size", default="640x480", help="of the drawn frames")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _runs(flags: argparse.Namespace, frames: Sequence[Pixels]) -> dict[str, Run]:
    ours = Detector.load(flags.model, flags.threads)
    scopes = Subject(ours, frames, None).scopes()
    runs: dict[str, Run] = {BARE: scopes["infer"], AGENT: scopes["end-to-end"]}
    if flags.weights or flags.stock:
        stock = flags.stock or _export(flags, ours.manifest.input.width)
        theirs = Detector.load(stock, flags.threads, ours.settings.threshold)
        runs[AGENT_STOCK] = Subject(theirs, frames, None).scopes()["end-to-end"]
        runs[PREDICT] = _predict(stock, frames, flags.threads, ours)
    return runs


def _export(flags: argparse.Namespace, side: int) -> Path:
    """Ultralytics' own INT8 TFLite file of the weights."""
    from trap_contract.quiet import quiet_ultralytics

    quiet_ultralytics(Path(".cache/zancudo"))
    from ultralytics import YOLO

    flags.keep.mkdir(parents=True, exist_ok=True)
    copy = shutil.copyfile(flags.weights, flags.keep / "stock.pt")
    settings = {"imgsz": side, "quantize": 8, "data": str(flags.data), "split": "train"}
    return Path(YOLO(str(copy)).export(format="litert", **settings)).resolve()


def _predict(stock: Path, frames: Sequence[Pixels], threads: int, ours: Detector) -> Run:
    """Ultralytics' predict on its own file, to as many boxes of the same least score as ours."""
    from trap_contract.quiet import quiet_ultralytics

    quiet_ultralytics(Path(".cache/zancudo"))
    import torch
    import ultralytics.utils
    from ultralytics import YOLO

    torch.set_num_threads(threads)
    ultralytics.utils.NUM_THREADS = threads
    model, settings = YOLO(str(stock), task="detect"), ours.settings
    how = {"imgsz": ours.manifest.input.width, "conf": settings.threshold, "iou": settings.iou, "device": "cpu"}
    return lambda number: model.predict(frames[number % len(frames)], verbose=False, **how)


class _OtherWork:
    """What the rest of the machine did meanwhile: a measurement is worth little where that is much."""

    def __init__(self) -> None:
        self._begun = (perf_counter(), _busy_s(), sum(os.times()[:2]))

    def cores(self) -> float:
        """Cores kept busy by others since this object was made."""
        begun_s, busy_s, own_s = self._begun
        return max(0.0, (_busy_s() - busy_s - (sum(os.times()[:2]) - own_s)) / (perf_counter() - begun_s))


def _busy_s() -> float:
    """Seconds that the machine's cores have worked, from /proc/stat: user, nice, system, irq, softirq."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(ticks[:3]) + sum(ticks[5:7])) / os.sysconf("SC_CLK_TCK")


def _is_met(pair: tuple[str, str], value: float) -> bool:
    sign, limit = GOALS[pair]
    return value <= limit if sign == "<=" else value >= limit


if __name__ == "__main__":
    main()
