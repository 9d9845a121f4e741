r"""What the agent takes: resident memory, the time from its start to its first count, and what it installs.

Memory is the most that was resident, as Linux counts it (VmHWM), of `trap-agent` counting drawn pictures from a folder
while its broker can't be reached, so that the outbox fills; beside it, with --stock, of a process that runs
Ultralytics' `predict` on the same pictures and its own export. The first count is timed from the start of the process
to the first line of --frames, the file cache being warm; starts of both kinds take turns. --install puts
`zancudo[agent]` into a fresh virtual environment with uv, and the wheels of a trap's processor (aarch64) into a folder,
and adds up their files.

    benchmarks/agent_footprint.py --install --stock runs/agent_speed/stock_int8_litert_model/stock.tflite

What it does not show: a Raspberry Pi; a camera, which has a process of its own.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import cv2
from trap_agent.benching.conditions import read_machine
from trap_agent.benching.scopes import rendered_frames

ROOT = Path(__file__).resolve().parents[1]
MEMORY_MB, FIRST_S, INSTALLED_MB = 150.0, 1.0, 300.0
TRAP = "aarch64"
PICTURES, SIDES = 300, (640, 480)
AGENT, PREDICT = "trap-agent", "predict"
TOOLS = ("ai-edge-litert", "opencv-python-headless", "numpy", "ultralytics", "torch")
PREDICT_PROGRAM = """
import sys
from pathlib import Path
from trap_contract.quiet import quiet_ultralytics
quiet_ultralytics(Path(".cache/zancudo"))
from ultralytics import YOLO
model = YOLO(sys.argv[1], task="detect")
for picture in sorted(Path(sys.argv[2]).iterdir()):
    found = model.predict(picture, imgsz=224, device="cpu", verbose=False)
    print(len(found[0].boxes), flush=True)
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def main() -> None:
    """Measure, print a table or JSON; fails when a goal is missed."""
    flags = _flags()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _draw(folder / "pictures")
        memory = {AGENT: _agent_memory(flags, folder)}
        memory |= {PREDICT: _predict_memory(flags.stock, folder)} if flags.stock else {}
        first = _first_counts(flags, folder)
        installed = _installed(folder) if flags.install else {}
    result = {
        "command": " ".join(["benchmarks/agent_footprint.py", *sys.argv[1:]]),
        "machine": read_machine().processor,
        "tools": {tool: version(tool) for tool in TOOLS} | {"python": platform.python_version()},
        "model": flags.model.name,
        "memory_mb": memory,
        "first_count_s": first,
        "installed_mb": installed,
    }
    print(json.dumps(result) if flags.json else as_table(result))
    missed = [name for name, value, limit in _goals(result) if value > limit]
    if missed:
        sys.exit(f"error: missed: {'; '.join(missed)}")


def as_table(result: dict[str, Any]) -> str:
    """Markdown, with what it was measured by and on."""
    lines = ["| what | measured | all starts | goal |", "|---|---|---|---|"]
    lines += [
        f"| {name}: most resident | {value:.0f} MB | | {_limit(name, MEMORY_MB, 'MB')} |"
        for name, value in result["memory_mb"].items()
    ]
    for name, seconds in result["first_count_s"].items():
        spread = f"{min(seconds):.2f} to {max(seconds):.2f} s of {len(seconds)}"
        lines.append(f"| {name}: first count | {median(seconds):.2f} s | {spread} | {_limit(name, FIRST_S, 's')} |")
    for machine, found in result["installed_mb"].items():
        goal = f"< {INSTALLED_MB:.0f} MB" if machine == TRAP else ""
        packages = f"{found['packages']} packages"
        lines.append(f"| zancudo[agent] on {machine} | {found['megabytes']:.0f} MB | {packages} | {goal} |")
    tools = ", ".join(f"{tool} {number}" for tool, number in result["tools"].items())
    return "\n".join([*lines, "", f"Model {result['model']}, {result['machine']};", tools])


def _limit(name: str, limit: float, unit: str) -> str:
    return f"<= {limit:.4g} {unit}" if name == AGENT else ""


def _goals(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    goals = [("memory", result["memory_mb"][AGENT], MEMORY_MB)]
    goals.append(("first count", median(result["first_count_s"][AGENT]), FIRST_S))
    if result["installed_mb"]:
        goals.append(("installed", result["installed_mb"][TRAP]["megabytes"], INSTALLED_MB))
    return goals


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "yolov8n_kd.tflite", help="our bundle")
    parser.add_argument("--stock", type=Path, help="Ultralytics' export, as benchmarks/agent_speed.py makes it")
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--install", action="store_true", help="install zancudo[agent] aside, and weigh it")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _draw(folder: Path) -> None:
    folder.mkdir()
    frames = rendered_frames(3, *SIDES)
    for number in range(PICTURES):
        cv2.imwrite(str(folder / f"{number:05}.jpg"), frames[number % len(frames)])


def _agent(flags: argparse.Namespace, folder: Path, *more: object) -> list[str]:
    words = [sys.executable, "-m", "trap_agent", "--model", flags.model, "--source", folder / "pictures", *more]
    return [str(word) for word in words]


def _agent_memory(flags: argparse.Namespace, folder: Path) -> float:
    """MB; the agent delivers to a port on which nothing listens."""
    delivery = ("--broker", "mqtt://127.0.0.1:1", "--window", 1, "--state-dir", folder / "state", "--drain", 1)
    agent = subprocess.Popen(_agent(flags, folder, *delivery), stderr=subprocess.DEVNULL)
    most = 0.0
    while agent.poll() is None:
        most = max(most, _most_resident_mb(agent.pid))
    return most


def _most_resident_mb(pid: int) -> float:
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except ProcessLookupError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


def _predict_memory(stock: Path, folder: Path) -> float:
    run = subprocess.run(_predict(stock, folder), capture_output=True, text=True, check=True)
    return int(run.stdout.split()[-1]) / 1024


def _predict(stock: Path, folder: Path) -> list[str]:
    return [sys.executable, "-c", PREDICT_PROGRAM, str(stock), str(folder / "pictures")]


def _first_counts(flags: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Seconds from start to first count; the first start of each only warms the cache."""
    commands = {AGENT: _agent(flags, folder, "--stdout", "--frames")}
    commands |= {PREDICT: _predict(flags.stock, folder)} if flags.stock else {}
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(flags.starts + 1):
        for name, command in commands.items():
            found[name].append(_seconds_to_first_line(command))
    return {name: seconds[1:] for name, seconds in found.items()}


def _seconds_to_first_line(command: Sequence[str]) -> float:
    begun_s = perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took_s = perf_counter() - begun_s
        process.kill()
    if not line:
        sys.exit(f"error: {' '.join(command[:4])} ended without a count")
    return took_s


def _installed(folder: Path) -> dict[str, dict[str, float]]:
    """MB and number of the packages that `zancudo[agent]` brings, here and on a trap; Python itself is not counted."""
    uv, here = [sys.executable, "-m", "uv"], folder / "venv"
    subprocess.run([*uv, "venv", "-q", str(here)], check=True)
    places = {
        platform.machine(): ["--python", str(here / "bin" / "python")],
        TRAP: ["--python-platform", "aarch64-manylinux_2_28", "--target", str(folder / TRAP)],
    }
    for place in places.values():
        agent = [*uv, "pip", "install", "-q", "--link-mode", "copy", "-c", "constraints.txt", *place, f"{ROOT}[agent]"]
        subprocess.run(agent, check=True, cwd=ROOT)
    packages = {platform.machine(): next(here.glob("lib/*/site-packages")), TRAP: folder / TRAP}
    return {name: _weight(path) for name, path in packages.items()}


def _weight(packages: Path) -> dict[str, float]:
    names = {path.name.split("-")[0] for path in packages.glob("*.dist-info")}
    if "torch" in names:
        sys.exit("error: zancudo[agent] installs torch")
    whole = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file())
    return {"megabytes": round(whole / 1e6, 1), "packages": len(names)}


if __name__ == "__main__":
    main()
