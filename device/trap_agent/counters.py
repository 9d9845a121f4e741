"""What a counter of new individuals gives, window by window."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from trap_contract.detections import Detections
from trap_contract.messages import BoardChange


@dataclass(frozen=True, slots=True)
class Difference:
    """How many of each class (C,) are new, and what happened to the board they are on."""

    counts: NDArray[np.int64]
    board: BoardChange | None = None


class Counter(Protocol):
    """Counts new individuals; without one, a window's count is what is in the picture."""

    def update(self, found: Detections, at_s: float) -> None:
        """Take in what the analysed frame of `at_s` showed."""
        ...

    def take(self) -> Difference:
        """What is new since the last call; called at least one frame later."""
        ...
