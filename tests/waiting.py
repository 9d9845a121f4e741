"""Waiting until a fact holds."""

import time
from collections.abc import Callable

DEADLINE_S = 60.0  # patience with a busy machine: nothing is measured by it


def until(true: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Poll until true; fail with `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < end, f"waited {deadline_s:.0f} s in vain until {what}"
        time.sleep(0.02)
