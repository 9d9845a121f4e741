"""What is timed: the bare runtime, the model with its pre- and post-processing, and the agent's whole step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from trap_contract.detector import Detector
from trap_contract.letterbox import letterbox
from trap_contract.messages import ModelRef
from trap_contract.packing import Packer
from trap_contract.tiling import DEFAULT_OVERLAP, cut_tile, tile_grid

from trap_agent.clock import SystemClock
from trap_agent.counting import analyse, named_counts
from trap_agent.lens import shows_nothing
from trap_agent.windows import WindowPlan, WindowSeries

Pixels = NDArray[np.uint8]
Scope = Literal["infer", "model", "end-to-end"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A loaded model and the frames (H, W, 3) BGR that it is shown in turn, in tiles of `tile` px if given."""

    detector: Detector
    frames: Sequence[Pixels]
    tile: int | None

    def scopes(self) -> dict[Scope, Callable[[int], object]]:
        """What to time, by scope; `infer` and `model` see the first tile of a frame that is cut into tiles."""
        inputs = [_first_tile(frame, self.tile) for frame in self.frames]
        tensors = [_tensor(self.detector, pixels) for pixels in inputs]
        whole = self._whole_step()
        return {
            "infer": lambda number: self.detector.runtime.run(tensors[number % len(tensors)]),
            "model": lambda number: self.detector.detect(inputs[number % len(inputs)]),
            "end-to-end": lambda number: whole(self.frames[number % len(self.frames)]),
        }

    def _whole_step(self) -> Callable[[Pixels], object]:
        """From a frame in memory to its counts in the open window, as the agent's observer takes it."""
        clock, classes = SystemClock(), self.detector.manifest.classes
        model = ModelRef(id=self.detector.manifest.id, sha256=self.detector.sha256, threshold=0)
        series = WindowSeries(WindowPlan(_WINDOW_S, 1.0, classes, model), clock.now())

        def step(frame: Pixels) -> object:
            now = clock.now()
            for _ in series.advance(now):
                pass
            shows_nothing(frame)
            analysis = analyse(self.detector, frame, self.tile)
            series.analysed(now, analysis.found, analysis.latency_ms)
            return named_counts(analysis.found, classes)

        return step


def rendered_frames(count: int, width: int, height: int) -> list[Pixels]:
    """The same drawn boards every time: insects to be found, so that decoding and suppression have work."""
    from trap_scene import render_board

    insects = max(1, width * height // 50_000)
    return [render_board(np.random.default_rng(seed), width, height, insects).pixels for seed in range(count)]


def _first_tile(frame: Pixels, tile: int | None) -> Pixels:
    if tile is None:
        return frame
    height, width = frame.shape[:2]
    return np.ascontiguousarray(cut_tile(frame, tile_grid(width, height, tile, DEFAULT_OVERLAP)[0]))


def _tensor(detector: Detector, pixels: Pixels) -> NDArray[np.generic]:
    spec = detector.manifest.input
    canvas, _ = letterbox(pixels, spec.width, spec.height, spec.letterbox_fill)
    return Packer(spec).pack(canvas)
