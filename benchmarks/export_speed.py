r"""INT8 bundles beside Ultralytics' own INT8 exports of the same checkpoints: accuracy, and time of the runtime alone.

Every file runs in the same runtime, with the same threads, in one process, interleaved: each round runs every file of
one format once, and the order turns. Ratios are medians of the rounds' ratios, so a machine that slows down slows both
sides; the spread is the range of the middle half of the rounds.

    benchmarks/export_speed.py --data DATA.yaml --silu runs/N/student/weights/best.pt \
        --relu runs/R/student/weights/best.pt --pico runs/P/student/weights/best.pt

What it shows: what splitting the head, calibrating and ReLU are worth on this processor. What it does not show: a
Raspberry Pi or a Jetson. The lines marked "calculated" are arithmetic from published peaks and rates, not measurements.
"""

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trap_agent.benching.conditions import read_machine
from trap_agent.benching.peak import peak_giga
from trap_contract.dataset import DataSet
from trap_contract.detector import Detector
from trap_contract.manifest import Provenance
from trap_contract.quiet import quiet_ultralytics
from trap_export.building import DEFAULT_FORMATS, Plan, build
from trap_export.costs import interleaved, processor, runner
from trap_export.evaluation import measure, score_pictures
from trap_export.gate import Limits

STOCK = {"tflite": "litert", "onnx": "onnx", "openvino": "openvino"}
GOALS = {  # INT8 minus float at least; INT8 / stock, INT8 / float, ReLU / SiLU at most
    "tflite": (-0.003, 0.85, 0.28, 0.95),
    "onnx": (-0.003, 0.28, 0.50, 0.68),
    "openvino": (-0.003, 0.95, 0.42, 0.90),
}
PICO_GOAL = 0.45
# GOPS that INT8 convolutions of a net reach on four cores: Arm's model cards for the Pi 5 (SiLU YOLO to ReLU ResNet);
# the Pi 4 has no dot product, so one to two times its float rate (22 GFLOPS with NCNN).
BOARDS = {"Raspberry Pi 5": (48.0, 400.0), "Raspberry Pi 4": (22.0, 44.0)}
Samples = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Student:
    """A checkpoint, our bundles of it as FORMAT-PRECISION, Ultralytics' INT8 exports by format, and its work."""

    name: str
    ours: dict[str, Path]
    stock: dict[str, Path]
    giga_operations: float


def main() -> None:
    """Build, measure, print a table or JSON."""
    flags = _flags()
    data = DataSet.load(flags.data)
    with tempfile.TemporaryDirectory() as place, redirect_stdout(sys.stderr):
        quiet_ultralytics(Path(".cache/zancudo"))
        root = Path(flags.keep or place)
        weights = {"silu": flags.silu, "relu": flags.relu, "pico": flags.pico}
        students = {name: _student(name, file, data, root, flags) for name, file in weights.items() if file}
        formats = {kind: _format(kind, students, data, flags) for kind in flags.formats.split(",")}
    result = {
        **_machine(),
        "command": " ".join(sys.argv),
        "threads": flags.threads,
        "clock": "CPU time" if flags.shared else "wall time",
        "rounds": flags.rounds,
        "formats": formats,
    }
    print(json.dumps(result) if flags.json else _table(result, students))


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data set YAML: train calibrates, val measures")
    parser.add_argument("--silu", type=Path, required=True, help="checkpoint of the nano student")
    parser.add_argument("--relu", type=Path, help="the same student with ReLU")
    parser.add_argument("--pico", type=Path, help="a narrower student")
    parser.add_argument("--imgsz", type=int, default=224)
    parser.add_argument("--calibration", type=int, default=300)
    parser.add_argument("--formats", default=",".join(DEFAULT_FORMATS))
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--sweep", action="store_true", help="choose the quantisation as trap-export build --sweep does"
    )
    parser.add_argument(
        "--shared", action="store_true", help="others use this machine too: take CPU time, which they do not lengthen"
    )
    parser.add_argument("--keep", type=Path, help="folder for the files; what is there already is not made again")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _student(name: str, weights: Path, data: DataSet, root: Path, flags: argparse.Namespace) -> Student:
    folder, formats = root / name, tuple(flags.formats.split(","))
    if not (folder / "report.json").exists():
        # The gate is the exporter's business; here a file that loses much is to be seen, so nothing is refused for it.
        plan = Plan(weights, data, folder, name, flags.imgsz, flags.imgsz, flags.calibration, Provenance(), formats)
        build(
            replace(plan, limits=Limits(1.0, 1.0), rounds=50, sweep=flags.sweep), lambda step: print(f"{name}: {step}")
        )
    suffixes = {"tflite": ".tflite", "onnx": ".onnx", "openvino": "_openvino"}
    ours = {
        f"{kind}-{precision}": folder / f"{name}_{precision}{suffixes[kind]}"
        for kind in formats
        for precision in ("float32", "int8")
    }
    return Student(name, ours, {kind: _stock(weights, kind, folder, flags) for kind in formats}, _work(weights, flags))


def _stock(weights: Path, kind: str, folder: Path, flags: argparse.Namespace) -> Path:
    """Ultralytics' INT8 export, calibrated on the train pictures as ours is (by itself it would take val)."""
    from ultralytics import YOLO

    kept = folder / "stock" / kind
    if not (kept / "path").exists():
        kept.mkdir(parents=True, exist_ok=True)
        copy = shutil.copyfile(weights, kept / "stock.pt")
        settings = {"imgsz": flags.imgsz, "quantize": 8, "data": str(flags.data), "split": "train"}
        made = Path(YOLO(str(copy)).export(format=STOCK[kind], **settings))
        (kept / "path").write_text(str(made.resolve()))
    return Path((kept / "path").read_text())


def _work(weights: Path, flags: argparse.Namespace) -> float:
    """Two operations a multiply-accumulate of one picture, in thousand millions."""
    from ultralytics import YOLO
    from ultralytics.utils.torch_utils import get_flops

    return float(get_flops(YOLO(str(weights)).model, flags.imgsz))


def _format(kind: str, students: dict[str, Student], data: DataSet, flags: argparse.Namespace) -> dict[str, Any]:
    """Accuracy and times of one format."""
    files = {
        f"{student.name}-{what}": path
        for student in students.values()
        for what, path in (
            ("float32", student.ours[f"{kind}-float32"]),
            ("int8", student.ours[f"{kind}-int8"]),
            ("stock", student.stock[kind]),
        )
    }
    accuracy = {name: _accuracy(path, data) for name, path in files.items()}
    runs = {name: runner(path, flags.threads) for name, path in files.items()}
    if kind == "openvino":
        runs |= {name: _openvino(files[name], "f32", flags.threads) for name in files if name.endswith("float32")}
        if set(processor()[1]) & {"avx512_bf16", "amx_bf16"}:
            runs["silu-bf16"] = _openvino(files["silu-float32"], "bf16", flags.threads)
    samples = interleaved(runs, flags.rounds, process_time if flags.shared else perf_counter)
    times = {name: dict(zip(("p50", "p95", "p99"), _percentiles(row), strict=True)) for name, row in samples.items()}
    return {"map50_95": accuracy, "ms": times, "ratios": _ratios(samples, students)}


def _ratios(samples: Samples, students: dict[str, Student]) -> dict[str, list[float]]:
    """Median, first and third quartile of the rounds' ratios."""
    pairs = {f"{name}: INT8 / stock INT8": (f"{name}-int8", f"{name}-stock") for name in students}
    pairs |= {f"{name}: INT8 / own float32": (f"{name}-int8", f"{name}-float32") for name in students}
    pairs |= {"ReLU INT8 / SiLU INT8": ("relu-int8", "silu-int8"), "pico INT8 / nano INT8": ("pico-int8", "silu-int8")}
    return {
        title: np.percentile(samples[above] / samples[below], (50, 25, 75)).tolist()
        for title, (above, below) in pairs.items()
        if above in samples and below in samples
    }


def _accuracy(path: Path, data: DataSet) -> float:
    detector = Detector.load(path, threads=1)
    scored = list(score_pictures(detector, data, "val"))
    return measure(scored, data.names, detector.settings.threshold, detector.settings.iou).map50_95


def _openvino(folder: Path, precision: str, threads: int) -> Callable[[], object]:
    """A float32 IR computed in f32 or bf16; OpenVINO by itself takes bf16 where the processor has it."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(folder / "model.xml", "CPU", settings).create_infer_request()
    shape = tuple(request.get_input_tensor().shape)
    tensor = np.random.default_rng(0).random(shape, np.float32)
    return lambda: request.infer({0: tensor})


def _percentiles(row: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in np.percentile(row * 1e3, (50, 95, 99))]


def _machine() -> dict[str, Any]:
    name, isa = processor()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
    tools = ("ai-edge-litert", "onnxruntime", "openvino", "ultralytics", "torch")
    return {
        "processor": name,
        "isa": isa,
        "megahertz": max(clocks, default=0.0),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "tools": {tool: version(tool) for tool in tools},
    }


def _peak(machine: dict[str, Any]) -> float:
    """GOPS of int8 that one core could do at the clock read now; 0 when unknown."""
    return peak_giga(read_machine(), "int8", machine["megahertz"]) or 0.0


def _table(result: dict[str, Any], students: dict[str, Student]) -> str:
    lines = [f"# {result['command']}", f"{result['processor']}, {result['megahertz']:.0f} MHz, isa: {result['isa']}"]
    lines.append(", ".join(f"{tool} {number}" for tool, number in result["tools"].items()))
    lines.append(f"threads {result['threads']}, rounds {result['rounds']}, {result['clock']}\n")
    for kind, found in result["formats"].items():
        lines += [f"## {kind}", *_rows(kind, found, students, _peak(result) * result["threads"]), ""]
    work = students["silu"].giga_operations
    lines += [
        f"{board}: calculated, not measured: {1e3 * work / fast:.1f} to {1e3 * work / slow:.1f} ms for {work:.2f} GOP"
        for board, (slow, fast) in BOARDS.items()
    ]
    return "\n".join(lines)


def _rows(kind: str, found: dict[str, Any], students: dict[str, Student], peak: float) -> list[str]:
    """Files with their accuracy and times, then ratios beside their goals."""
    rows = ["| file | mAP50-95 | p50 ms | p95 | p99 | GOPS | of the peak |", "|---|---|---|---|---|---|---|"]
    for name, times in found["ms"].items():
        gops = students[name.split("-")[0]].giga_operations / times["p50"] * 1e3
        share = f"{gops / peak:.0%} of {peak:.0f}" if peak and not name.endswith(("32", "16")) else ""
        score = f"{found['map50_95'][name]:.4f}" if name in found["map50_95"] else ""
        rows.append(f"| {name} | {score} | {times['p50']} | {times['p95']} | {times['p99']} | {gops:.0f} | {share} |")
    rows += ["", "| what | measured | middle half | goal |", "|---|---|---|---|"]
    loss, stock, own, relu = GOALS[kind]
    for name in students:
        change = found["map50_95"][f"{name}-int8"] - found["map50_95"][f"{name}-float32"]
        rows.append(f"| {name}: INT8 minus float, mAP50-95 | {change:+.4f} | | >= {loss} |")
    goals = {"stock INT8": stock, "own float32": own, "SiLU INT8": relu, "nano INT8": PICO_GOAL}
    for title, (median, low, high) in found["ratios"].items():
        goal = goals[title.rsplit(" / ", 1)[1]]
        rows.append(f"| {title} | {median:.3f} | {low:.3f} to {high:.3f} | <= {goal} |")
    return rows


if __name__ == "__main__":
    main()
