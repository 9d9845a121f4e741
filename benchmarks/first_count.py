"""Count the held-back trap boards end to end, beside the hand counts: trap-agent, mosquitto, collector, SQLite.

The agent shows itself each board for one second and closes a window of one second, so a board is a window and a stored
row. The numbers are read back from the database through the collector's API.

What it shows: how far the counts of four boards of one trap are from one person's boxes on the same boards.
What it does not show: another trap, camera or season, or any sexing; the boxes themselves are not perfect, and the four
boards also chose the epoch and the threshold of the model (docs/first-count.md).
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from trap_contract.dataset import read_labels
from trap_deploy.children import Child, hears_broker, wait_until
from trap_deploy.demo import find_mosquitto, write_broker_config
from trap_deploy.invitation import link_for, token_for
from trap_deploy.page_picture import take_pictures
from trap_deploy.ports import is_taken

ROOT = Path(__file__).resolve().parents[1]
BOARDS = ROOT.parent / "shared" / "data" / "trapboard" / "images" / "val"
TRAP = "trapboard"
MQTT_PORT, HTTP_PORT = 18840, 18841
BIN = Path(sys.executable).parent


def main() -> None:
    """Run the count and print it as a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "trapboard_n.tflite")
    parser.add_argument("--boards", type=Path, default=BOARDS, help="folder images/SPLIT, labels/SPLIT beside it")
    parser.add_argument("--tile", type=int, default=360)
    parser.add_argument("--page", type=Path, help="also write a picture of the page here (needs chromium)")
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    boards = sorted(flags.boards.glob("*.jpg"))
    if not boards:
        sys.exit(f"error: {flags.boards}: no boards here: this benchmark needs the trapboard pictures")
    counted = count_through_the_chain(flags.model, flags.boards, flags.tile, len(boards), flags.page)
    rows = [
        {"board": board.stem, "hand": len(read_labels(board)), "counted": count}
        for board, count in zip(boards, counted, strict=True)
    ]
    result = summary(rows) | {"boards": rows, "model": flags.model.name, "tile": flags.tile}
    print(json.dumps(result) if flags.json else as_table(result))


def count_through_the_chain(model: Path, boards: Path, tile: int, expected: int, page: Path | None) -> list[int]:
    """Counts as stored, in the order of the boards."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        broker, collector = children(folder)
        try:
            start(broker, lambda: is_taken(MQTT_PORT))
            # What nobody hears a trap sends again, but too late for these boards.
            start(collector, lambda: hears_broker(f"http://127.0.0.1:{HTTP_PORT}"))
            command = [str(BIN / "trap-agent"), "--model", str(model), "--source", str(boards), "--tile", str(tile)]
            command += ["--fps", "1", "--window", "1", "--trap", TRAP, "--state-dir", str(folder / "trap")]
            subprocess.run([*command, "--broker", f"mqtt://127.0.0.1:{MQTT_PORT}"], check=True)
            windows = stored_windows(token_for("first-count", database_in(folder)))
            if page is not None:
                link = link_for("first-count", database_in(folder), f"http://127.0.0.1:{HTTP_PORT}/")
                take_pictures(link, {f"/traps/default/{TRAP}": page})
        finally:
            collector.stop(10)
            broker.stop(10)
    counts = [sum(window["counts"].values()) for window in windows if window["counts"] is not None]
    if len(counts) != expected:
        sys.exit(f"error: {expected} boards were shown, and {len(counts)} windows with counts stored")
    return counts


def children(folder: Path) -> tuple[Child, Child]:
    """Broker and collector with their files in `folder`."""
    config = write_broker_config(folder, MQTT_PORT)
    server = [str(BIN / "trap-server"), "run", "--broker", f"mqtt://127.0.0.1:{MQTT_PORT}", "--port", str(HTTP_PORT)]
    database = ["--database", database_in(folder)]
    return (
        Child("broker", [find_mosquitto(), "-c", str(config)], folder / "broker.log"),
        Child("collector", [*server, *database], folder / "collector.log"),
    )


def start(child: Child, is_up: Any) -> None:
    """Start a program and wait until it answers."""
    child.start(time.monotonic())
    if not wait_until(lambda: is_up() or child.has_ended(), 60) or child.has_ended():
        sys.exit(f"error: the {child.name} does not come up: {child.last_line()}")


def database_in(folder: Path) -> str:
    """Address of the collector's database."""
    return f"sqlite:///{folder / 'counts.db'}"


def stored_windows(token: str) -> list[dict[str, Any]]:
    """All windows of the trap, in order of time."""
    address = f"http://127.0.0.1:{HTTP_PORT}/api/v1/traps/default/{TRAP}/windows?limit=1000"
    request = urllib.request.Request(address, headers={"authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  our own http address
        return list(json.load(answer)["windows"])


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Error of the sum, and mean absolute error a board."""
    hand, counted = (np.array([row[name] for row in rows]) for name in ("hand", "counted"))
    return {
        "hand": int(hand.sum()),
        "counted": int(counted.sum()),
        "sum_error_percent": round(100 * float(counted.sum() - hand.sum()) / float(hand.sum()), 2),
        "mean_absolute_error": round(float(np.abs(counted - hand).mean()), 2),
    }


def as_table(result: dict[str, Any]) -> str:
    """Markdown, with what it was measured by and on."""
    tools = ", ".join(f"{name} {version(name)}" for name in ("ai-edge-litert", "opencv-python-headless", "numpy"))
    lines = ["| board | hand count | counted | error |", "|---|---|---|---|"]
    lines += [
        f"| {r['board']} | {r['hand']} | {r['counted']} | {r['counted'] - r['hand']:+d} |" for r in result["boards"]
    ]
    lines += [f"| sum | {result['hand']} | {result['counted']} | {result['sum_error_percent']:+.1f} % |", ""]
    lines += [f"Mean absolute error a board: {result['mean_absolute_error']:.2f} insects."]
    lines += [f"Command: python benchmarks/first_count.py; model {result['model']}, tiles of {result['tile']} px."]
    return "\n".join([*lines, f"{tools}, Python {platform.python_version()}, {platform.machine()}."])


if __name__ == "__main__":
    main()
