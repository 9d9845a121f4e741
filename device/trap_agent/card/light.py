"""The board's light: N flashes and a pause, so that a person can count them."""

import threading
from collections.abc import Iterator
from pathlib import Path

from trap_agent.card.condition import Code

_FLASH_S = 0.2
_BETWEEN_S = 0.3
_PAUSE_S = 1.6
_BEAT_S = 1.0
_NAMES = ("ACT", "led0")


def pattern(code: Code) -> Iterator[tuple[bool, float]]:
    """One round: whether the light is on, and for how many seconds. Counting is an even beat."""
    if code is Code.COUNTING:
        yield True, _BEAT_S
        yield False, _BEAT_S
        return
    for flash in range(code):
        yield True, _FLASH_S
        yield False, _PAUSE_S if flash == code - 1 else _BETWEEN_S


def find_light(root: Path) -> Path | None:
    """The folder of the board's activity light; None where there is none."""
    folder = root / "sys/class/leds"
    return next((folder / name for name in _NAMES if (folder / name).exists()), None)


class Light:
    """Flashes `code` in a thread of its own, until the process ends."""

    def __init__(self, folder: Path) -> None:
        self.code = Code.AGENT
        self._folder = folder
        self._thread = threading.Thread(target=self._run, name="light", daemon=True)

    def start(self) -> None:
        """Take the light from the kernel, which shows disk access with it. Raises OSError."""
        (self._folder / "trigger").write_text("none")
        self._thread.start()

    def _run(self) -> None:
        rest = threading.Event()
        while True:
            for is_on, seconds in pattern(self.code):
                (self._folder / "brightness").write_text("1" if is_on else "0")
                rest.wait(seconds)
