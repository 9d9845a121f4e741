"""Feeds hand frames to the analysis: a replay every frame, a live source the latest one."""

import threading
import time
from contextlib import closing
from typing import Final, Protocol

import numpy as np
from trap_contract.backoff import Backoff
from trap_contract.errors import SourceError
from trap_contract.logs import log

from trap_agent.clock import Clock
from trap_agent.runfiles import PicturesFile
from trap_agent.slot import LatestFrame, Taken
from trap_agent.sources import Source

_REOPEN_BASE_S = 1.0
_REOPEN_CAP_S = 60.0
_LOOK_AGAIN_CAP_S = 10.0
_CLOSE_S = 2.0
"""A camera that hangs is not waited for longer at the end."""


class Feed(Protocol):
    """What the analysis takes frames from."""

    def take(self, timeout_s: float) -> Taken:
        """The next frame, or what time it is when none came within `timeout_s`."""
        ...

    def close(self) -> Taken:
        """Stop; perhaps a last frame, and what time it is."""
        ...


_NOBODY: Final = PicturesFile(None)


def open_feed(source: Source, clock: Clock, rng: np.random.Generator, told: PicturesFile = _NOBODY) -> Feed:
    """The feed that keeps the source's pace; `told` is told when a source that may be lost is, and when it is back."""
    if source.pace == "live":
        return LiveFeed(source, clock, rng, told)
    return PatientFeed(source, clock, rng, told) if source.pace == "patient" else ReplayFeed(source, clock)


class ReplayFeed:
    """Every frame of a source that ends, in the source's own time."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._frames = (frame for frame in source.frames() if frame is not None)
        self._interval_s = source.interval_s
        self._now = clock.now()

    def take(self, timeout_s: float) -> Taken:  # noqa: ARG002 - a replay never keeps one waiting
        frame = next(self._frames, None)
        if frame is None:
            return Taken(None, self._now, has_ended=True)
        self._now = frame.at.later(self._interval_s)
        return Taken(frame, self._now)

    def close(self) -> Taken:
        return Taken(None, self._now, has_ended=True)


class PatientFeed:
    """The next frame of a live source that lets frames wait: none is ever dropped, and windows wait with them."""

    def __init__(self, source: Source, clock: Clock, rng: np.random.Generator, told: PicturesFile = _NOBODY) -> None:
        self._source = source
        self._clock = clock
        self._told = told
        self._backoff = Backoff(_REOPEN_BASE_S, _LOOK_AGAIN_CAP_S, rng)
        self._frames = source.frames()
        self._retry_at_s: float | None = None
        """When a lost source is tried again."""

    def take(self, timeout_s: float) -> Taken:
        if self._retry_at_s is not None and self._clock.now().mono_s < self._retry_at_s:
            return self._wait(timeout_s)
        try:
            frame = next(self._frames)
        except SourceError as error:
            return self._lose(error, timeout_s)
        if self._retry_at_s is not None:
            log.info("source found again")
            self._retry_at_s = None
            self._backoff.reset()
        self._told.coming()
        if frame is not None:
            return Taken(frame, frame.at)
        time.sleep(timeout_s)
        return Taken(None, self._clock.now())

    def close(self) -> Taken:
        return Taken(None, self._clock.now(), has_ended=True)

    def _lose(self, error: SourceError, timeout_s: float) -> Taken:
        if self._retry_at_s is None:
            log.warning("source lost, trying it again and again", error=str(error))
        self._told.lost(str(error))
        self._frames = self._source.frames()
        self._retry_at_s = self._clock.now().mono_s + self._backoff.wait_s()
        return self._wait(timeout_s)

    def _wait(self, timeout_s: float) -> Taken:
        time.sleep(timeout_s)
        now = self._clock.now()
        return Taken(None, now, lost=(now,))


class LiveFeed:
    """The latest frame of a live source, captured by a thread that reopens the source when it is lost."""

    def __init__(self, source: Source, clock: Clock, rng: np.random.Generator, told: PicturesFile = _NOBODY) -> None:
        self._source = source
        self._clock = clock
        self._told = told
        self._backoff = Backoff(_REOPEN_BASE_S, _REOPEN_CAP_S, rng)
        self._slot = LatestFrame()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> Taken:
        frame, dropped, lost = self._slot.take(timeout_s)
        return Taken(frame, self._clock.now(), dropped, lost)

    def close(self) -> Taken:
        self._stop.set()
        self._thread.join(_CLOSE_S)
        frame, dropped, lost = self._slot.take(0)
        return Taken(frame, self._clock.now(), dropped, lost, has_ended=True)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._capture():
                    self._backoff.reset()
                self._stop.wait(self._backoff.wait_s())
        except Exception as error:  # noqa: BLE001 - it is raised again where frames are taken
            self._slot.fail(error)

    def _capture(self) -> int:
        """Put frames into the slot until the source is lost or the feed closed; how many there were."""
        count = 0
        try:
            with closing(self._source.frames()) as frames:
                for frame in frames:
                    if frame is not None:
                        self._slot.put(frame)
                        self._told.coming()
                        count += 1
                    if self._stop.is_set():
                        break
        except SourceError as error:
            if self._stop.is_set():
                return count
            self._slot.lose(self._clock.now())
            self._told.lost(str(error))
            log.warning("source lost, opening it again", error=str(error))
        return count
