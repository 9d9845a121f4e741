"""The loop that watches: frames in, closed windows out."""

from collections.abc import Callable, Iterable
from functools import partial
from threading import Event

from trap_contract.detections import Detections

from trap_agent.counting import analyse
from trap_agent.feeds import Feed
from trap_agent.lens import shows_nothing
from trap_agent.regions import Regions, TileDetector
from trap_agent.sinks import Sink
from trap_agent.slot import Taken
from trap_agent.sources import Frame
from trap_agent.windows import Draft, WindowSeries

OnAnalysed = Callable[[Frame, Detections], None]
"""Told of every frame that was analysed, or found dark, and what was found in it."""

_TICK_S = 0.25
"""How long a missing frame is waited for before the clock is looked at again."""


class Observer:
    """Analyses what a feed gives and hands every closed window to a sink."""

    def __init__(
        self,
        detector: TileDetector,
        tile: int | None,
        series: WindowSeries,
        sink: Sink,
        on_analysed: OnAnalysed | None = None,
    ) -> None:
        self._detector = Regions(detector)
        self._tile = tile
        self._series = series
        self._sink = sink
        self._on_analysed = on_analysed

    def use(self, detector: TileDetector) -> None:
        """Look with this one from the next frame on."""
        self._detector = Regions(detector)

    def watch(self, feed: Feed, stop: Event) -> None:
        """Watch until the feed ends or `stop` is set; the open window is then closed early."""
        while not stop.is_set():
            taken = feed.take(_TICK_S)
            if taken.has_ended:
                break
            self._take_in(taken)
        last = feed.close()
        self._take_in(last)
        self._hand_over(self._series.finish(last.now))

    def _take_in(self, taken: Taken) -> None:
        frame = taken.frame
        notes = [(at, partial(self._series.dropped, at)) for at in taken.dropped]
        notes += [(at, partial(self._series.lost, at, taken.absence)) for at in taken.lost]
        notes += [(frame.at, partial(self._look_at, frame))] if frame is not None else []
        for at, note in sorted(notes, key=lambda note: note[0].mono_s):
            self._hand_over(self._series.advance(at))
            note()
        if frame is None:
            self._hand_over(self._series.advance(taken.now))

    def _look_at(self, frame: Frame) -> None:
        if frame.pixels is None:
            self._series.unreadable(frame.at)
            return
        if shows_nothing(frame.pixels):
            self._series.dark(frame.at)
            found = Detections.empty()
        else:
            analysis = analyse(self._detector, frame.pixels, self._tile)
            self._series.analysed(frame.at, analysis.found, analysis.latency_ms, analysis.looks)
            found = analysis.found
        if self._on_analysed is not None:
            self._on_analysed(frame, found)

    def _hand_over(self, drafts: Iterable[Draft]) -> None:
        for draft in drafts:
            self._sink.accept(draft)
