"""A living board drawn by trap_scene: a camera for demonstrations and tests."""

import time
from collections.abc import Generator

from trap_scene import Video

from trap_agent.clock import Clock
from trap_agent.sources import Frame, Pace

_FPS = 10.0


class RenderedSource:
    """The same insects for the same seed, at `fps` in real time."""

    pace: Pace = "live"

    def __init__(self, seed: int, fps: float | None, clock: Clock) -> None:
        self._clock = clock
        self.interval_s = 1 / (fps or _FPS)
        self._video = Video(seed, fps=fps or _FPS)

    def frames(self) -> Generator[Frame, None, None]:
        """Frames without end; where drawing can't keep up, some are skipped as a slow camera would."""
        begun_s = self._clock.now().mono_s
        index = 0
        while True:
            pixels = self._video.frame(index).pixels
            yield Frame(pixels, self._clock.now())
            elapsed_s = self._clock.now().mono_s - begun_s
            index = max(index + 1, int(elapsed_s / self.interval_s))
            time.sleep(max(0.0, index * self.interval_s - elapsed_s))


class RenderedReplay:
    """The same insects for so many seconds, `fps` frames for each, in their own time and as fast as they are taken."""

    pace: Pace = "replay"

    def __init__(self, seed: int, seconds: int, fps: float | None, clock: Clock) -> None:
        self._clock = clock
        self._frames = round(seconds * (fps or _FPS))
        self.interval_s = 1 / (fps or _FPS)
        self._video = Video(seed, fps=fps or _FPS)

    def frames(self) -> Generator[Frame, None, None]:
        """Each frame once."""
        begun = self._clock.now()
        for index in range(self._frames):
            yield Frame(self._video.frame(index).pixels, begun.later(index * self.interval_s))
