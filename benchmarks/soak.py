r"""A whole agent counting rendered video at full speed for hours: does its memory grow, or the files it holds open?

trap-agent looks at --hours of a living board, as fast as it can, and delivers minute windows through a real mosquitto
to a real collector. Its resident memory and its open files and threads are read every second; growth is what the median
of the last quarter lies above that of the second.

    benchmarks/soak.py --hours 24

What it shows: that nothing piles up frame by frame, window by window or message by message. What it does not show: a
camera's process, a network that comes and goes (tests/device/test_faults.py), or what only months bring.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from trap_agent.outbox import read_account
from trap_deploy.children import Child, wait_until
from trap_deploy.demo import find_mosquitto, write_broker_config
from trap_deploy.ports import is_taken

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
MQTT_PORT, HTTP_PORT = 18842, 18843
MOST_MB, MOST_FILES = 5.0, 2
"""Growth from the second quarter to the last that is still none."""

Sample = tuple[float, float, int, int]
"""Seconds since the start, resident MB, open files, threads."""


def main() -> None:
    """Run, print a table or JSON; fails when something grows or a window is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=1, help="of video")
    parser.add_argument("--fps", type=float, default=1.0, help="frames of each second of video")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "yolov8n_kd.tflite")
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        samples, account = soak(flags, Path(place))
    result = summary(samples) | {
        "command": " ".join(["benchmarks/soak.py", *sys.argv[1:]]),
        "hours": flags.hours,
        "frames": round(flags.hours * 3600 * flags.fps),
        "windows": account["issued"],
        "acknowledged": account["acknowledged"],
        "model": flags.model.name,
        "samples": samples,
    }
    print(json.dumps(result) if flags.json else as_table(result))
    if result["growth_mb"] > MOST_MB or result["growth_files"] > MOST_FILES:
        sys.exit("error: it grows")
    if result["acknowledged"] != result["windows"]:
        sys.exit("error: windows are missing in the collector")


def soak(flags: argparse.Namespace, folder: Path) -> tuple[list[Sample], dict[str, Any]]:
    """Samples of the running agent, and what became of its windows."""
    config = write_broker_config(folder, MQTT_PORT)
    url, state = f"mqtt://127.0.0.1:{MQTT_PORT}", folder / "trap"
    server = ["run", "--broker", url, "--port", str(HTTP_PORT), "--database", f"sqlite:///{folder / 'counts.db'}"]
    broker = Child("broker", [find_mosquitto(), "-c", str(config)], folder / "broker.log")
    collector = Child("collector", [str(BIN / "trap-server"), *server], folder / "collector.log")
    source = ["--source", f"rendered:1:{flags.hours * 3600}", "--fps", str(flags.fps), "--threads", "1"]
    agent = [str(BIN / "trap-agent"), "--model", str(flags.model), *source, "--state-dir", str(state), "--drain", "600"]
    try:
        for child, port in ((broker, MQTT_PORT), (collector, HTTP_PORT)):
            child.start(time.monotonic())
            if not wait_until(lambda port=port: is_taken(port), 600):  # type: ignore[misc]
                sys.exit(f"error: the {child.name} does not come up: {child.last_line()}")
        with (folder / "agent.log").open("w") as log:
            samples = watch(subprocess.Popen([*agent, "--broker", url, "--trap", "soak"], stderr=log))
    finally:
        collector.stop(10)
        broker.stop(10)
    return samples, read_account(state)


def watch(agent: subprocess.Popen[bytes]) -> list[Sample]:
    """A sample a second until the agent ends."""
    samples: list[Sample] = []
    begun_s = time.monotonic()
    while agent.poll() is None:
        status, files = Path(f"/proc/{agent.pid}/status"), Path(f"/proc/{agent.pid}/fd")
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            resident_mb = int(fields["VmRSS"].split()[0]) / 1024
            samples.append(
                (time.monotonic() - begun_s, resident_mb, len(list(files.iterdir())), int(fields["Threads"]))
            )
        except (OSError, KeyError):  # it has just ended
            continue
        time.sleep(1)
    if agent.returncode:
        sys.exit(f"error: the agent ended with status {agent.returncode}")
    return samples


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Medians of the second and the last quarter, and what lies between them."""
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter] or samples, samples[-quarter:]
    middles = [[median(sample[place] for sample in part) for place in (1, 2, 3)] for part in (early, late)]
    (early_mb, early_files, _), (late_mb, late_files, threads) = middles
    return {
        "seconds": round(samples[-1][0], 1),
        "second_quarter_mb": round(early_mb, 1),
        "last_quarter_mb": round(late_mb, 1),
        "most_mb": round(max(sample[1] for sample in samples), 1),
        "growth_mb": round(late_mb - early_mb, 2),
        "growth_files": late_files - early_files,
        "open_files": late_files,
        "threads": threads,
    }


def as_table(result: dict[str, Any]) -> str:
    """Markdown, with what it was measured by and on."""
    speed = result["frames"] / result["seconds"]
    before, after = (result[name] for name in ("second_quarter_mb", "last_quarter_mb"))
    files, more = result["open_files"], result["growth_files"]
    lines = ["| what | second quarter | last quarter | growth | at most |", "|---|---|---|---|---|"]
    lines += [f"| resident MB | {before} | {after} | {result['growth_mb']:+} | {MOST_MB:g} |"]
    lines += [f"| open files | {files - more:g} | {files:g} | {more:+g} | {MOST_FILES} |", ""]
    lines += [
        f"{result['hours']} h of video: {result['frames']} frames in {result['seconds']:.0f} s, {speed:.0f} a second;"
    ]
    lines += [
        f"{result['windows']} windows, {result['acknowledged']} acknowledged; most resident {result['most_mb']} MB."
    ]
    tools = ", ".join(f"{name} {version(name)}" for name in ("ai-edge-litert", "paho-mqtt", "numpy"))
    return "\n".join([*lines, f"Model {result['model']}, {tools}, Python {platform.python_version()}."])


if __name__ == "__main__":
    main()
