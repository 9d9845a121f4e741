"""Make the field guide's pictures by the program itself: a board with what was found, the light's beats, the preview
page and the selftest's table. `make pictures`; needs chromium.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text
from trap_agent.card.condition import Code
from trap_agent.card.light import pattern
from trap_agent.preview.drawing import annotated
from trap_contract.detector import Detector
from trap_contract.vision import cv2
from trap_scene import render_board

DOCS = Path(__file__).resolve().parent
MODEL = DOCS.parent / "models" / "yolov8n_kd.tflite"
SHOWN_S, SECOND_PX, ROW_PX, LEFT_PX = 8.0, 90, 44, 150
LOOK_AFTER = 20


def draw_board(file: Path) -> None:
    """A drawn board and what the shipped model finds on it, whatever that is."""
    detector = Detector.load(MODEL)
    pixels = render_board(np.random.default_rng(11), 320, 240, 7).pixels
    cv2.imwrite(str(file), annotated(pixels, detector.detect(pixels), detector.manifest.classes))


def draw_light(file: Path) -> None:
    """The light over time, a row for each code, from the code that makes it flash."""
    codes = sorted(Code, key=int)
    canvas = np.full((ROW_PX * len(codes) + 40, LEFT_PX + round(SHOWN_S * SECOND_PX) + 20, 3), 255, np.uint8)
    for row, code in enumerate(codes):
        top, at_s, rounds = 10 + row * ROW_PX, 0.0, iter(())
        label = "counting" if code is Code.COUNTING else f"{int(code)} flashes"
        cv2.putText(canvas, label, (10, top + 27), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (40, 40, 40), 1, cv2.LINE_AA)
        while at_s < SHOWN_S:
            step = next(rounds, None)
            if step is None:
                rounds = iter(pattern(code))
                continue
            left, right = (LEFT_PX + round(min(s, SHOWN_S) * SECOND_PX) for s in (at_s, at_s + step[1]))
            colour = (40, 170, 40) if step[0] else (225, 225, 225)
            cv2.rectangle(canvas, (left, top + 6), (right - 1, top + ROW_PX - 10), colour, -1)
            at_s += step[1]
    below = 10 + len(codes) * ROW_PX + 15
    for second in range(int(SHOWN_S) + 1):
        place = (LEFT_PX + second * SECOND_PX - 8, below)
        cv2.putText(canvas, f"{second} s", place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (90, 90, 90), 1, cv2.LINE_AA)
    cv2.imwrite(str(file), canvas)


def selftest_page(folder: Path) -> Path:
    """What `trap-agent selftest` says here, as an SVG."""
    arguments = ["selftest", "--model", str(MODEL), "--source", "rendered:7", "--state-dir", str(folder), "--json"]
    done = subprocess.run([sys.executable, "-m", "trap_agent", *arguments], capture_output=True, text=True, check=False)
    table = Table("Check", "", "What was seen, or what to do")
    for one in json.loads(done.stdout)["checks"]:
        colour = "green" if one["is_good"] else "red"
        table.add_row(one["name"], Text("good" if one["is_good"] else "BAD", style=colour), Text(one["text"]))
    console = Console(record=True, width=110, file=(folder / "table.txt").open("w"))
    console.print(table)
    page = folder / "selftest.svg"
    console.save_svg(str(page), title="trap-agent selftest")
    return page


def photograph(preview: Path, selftest: Path) -> None:
    """Both pages by headless Chromium."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        page_of_test = selftest_page(folder)
        arguments = ["--source", "rendered:7", "--stdout", "--preview", "127.0.0.1:0", "--state-dir", str(folder)]
        command = [sys.executable, "-m", "trap_agent", "--model", str(MODEL), *arguments]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as agent:
            address = next(
                found[0] for line in agent.stderr or () if (found := re.search(r"http://127\.0\.0\.1:\d+/\S*", line))
            )
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1000, "height": 760})
            page.goto(address.strip("'\""))
            page.wait_for_timeout(LOOK_AFTER * 1000)
            page.screenshot(path=preview)
            page.goto(page_of_test.as_uri())
            page.screenshot(path=selftest)
            browser.close()
            agent.terminate()
    cut_margins(selftest)


def cut_margins(file: Path) -> None:
    """Take the white rows above and below away."""
    pixels = cv2.imread(str(file))
    rows = np.flatnonzero((pixels < 250).any(axis=(1, 2)))
    cv2.imwrite(str(file), pixels[rows[0] : rows[-1] + 1])


def main() -> None:
    """All four, beside this file."""
    draw_board(DOCS / "field-board.png")
    draw_light(DOCS / "field-led.png")
    photograph(DOCS / "field-preview.png", DOCS / "field-selftest.png")


if __name__ == "__main__":
    main()
