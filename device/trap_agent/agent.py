"""The agent put together: source, detector, windows, outbox and publisher."""

import itertools
import json
import platform
import signal
import threading
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import TextIO

import numpy as np
from trap_contract.broker import BrokerAddress
from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.logs import log
from trap_contract.messages import Birth, ModelRef

from trap_agent.clock import Clock, SystemClock, kernel_boot_id
from trap_agent.counting import named_counts
from trap_agent.feeds import Feed, LiveFeed, ReplayFeed
from trap_agent.observer import Observer, OnAnalysed
from trap_agent.outbox import Outbox
from trap_agent.publisher import Link, Publisher
from trap_agent.settings import AgentSettings
from trap_agent.sinks import LineSink, OutboxSink, Sink, new_boot
from trap_agent.sources import Frame, Source, open_source
from trap_agent.windows import WindowPlan, WindowSeries

EXIT_HELD = 3
"""Exit status when windows wait in the outbox for the next start."""

_LEAST_LIVE_S = 60.0


@dataclass(slots=True)
class StopRequest:
    """Set by SIGTERM or SIGINT; a second one cuts the draining short."""

    stop: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)

    def install(self) -> None:
        """Listen for the two signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()


@dataclass(frozen=True, slots=True)
class Eye:
    """The opened model and source, and the windows they will fill."""

    settings: AgentSettings
    clock: Clock
    detector: Detector
    source: Source
    plan: WindowPlan

    @classmethod
    def open(cls, settings: AgentSettings, clock: Clock) -> "Eye":
        """Load the model, open the source. Raises BundleError or SourceError."""
        detector = Detector.load(settings.model, settings.threads, settings.threshold)
        source = open_source(settings.source, settings.fps, clock)
        model = ModelRef(
            id=detector.manifest.id,
            sha256=detector.sha256,
            threshold=detector.settings.threshold,
            backend=detector.runtime.description,
        )
        plan = WindowPlan(settings.window, source.interval_s, detector.manifest.classes, model, kernel_boot_id())
        log.info("counting", model=model.id, backend=model.backend, source=settings.source, window_s=settings.window)
        return cls(settings, clock, detector, source, plan)

    def watch(self, sink: Sink, stop: threading.Event, on_analysed: OnAnalysed | None = None) -> None:
        """Fill windows until the source ends or `stop` is set."""
        series = WindowSeries(self.plan, self.clock.now())
        Observer(self.detector, self.settings.tile, series, sink, on_analysed).watch(self._feed(), stop)

    def _feed(self) -> Feed:
        if self.source.is_live:
            return LiveFeed(self.source, self.clock, np.random.default_rng())
        return ReplayFeed(self.source, self.clock)


def print_windows(settings: AgentSettings, request: StopRequest, out: TextIO, *, every_frame: bool) -> None:
    """Count and write each closed window, and each frame's counts if asked, as one line of JSON to `out`."""
    eye = Eye.open(settings, SystemClock())
    numbers = itertools.count(1)

    def write_line(line: str) -> None:
        print(line, file=out, flush=True)

    def write_frame(frame: Frame, found: Detections) -> None:
        counts = named_counts(found, eye.plan.classes)
        write_line(json.dumps({"frame": next(numbers), "wall_ms": frame.at.wall_ms, "counts": counts}))

    eye.watch(LineSink(write_line), request.stop, write_frame if every_frame else None)


def deliver_windows(settings: AgentSettings, broker: BrokerAddress, request: StopRequest) -> int:
    """Count and deliver until stopped; the exit status.

    Raises StoreError at the end when windows could not be stored.
    """
    clock = SystemClock()
    tls = broker.tls_context()
    eye = Eye.open(settings, clock)
    boot = new_boot()
    outbox = Outbox(settings.state_dir, settings.address, boot, clock.now().wall_ms, settings.outbox_limit)
    link = Link(broker, settings.address, tls, _birth(settings, eye.plan, boot))
    live_for_s = max(_LEAST_LIVE_S, 2 * settings.window)
    publisher = Publisher(link, outbox, clock, live_for_s, np.random.default_rng())
    sink = OutboxSink(outbox, publisher.announce)
    publisher.start()
    try:
        eye.watch(sink, request.stop)
        sink.close()
    finally:
        log.info("draining", held=outbox.held, at_most_s=settings.drain)
        held = publisher.finish(settings.drain, request.hurry)
        outbox.close()
    if held:
        log.warning("stopped; windows wait in the outbox for the next start", held=held)
        return EXIT_HELD
    log.info("stopped; every window is acknowledged")
    return 0


def _birth(settings: AgentSettings, plan: WindowPlan, boot: str) -> Birth:
    return Birth(
        trap=settings.trap,
        boot=boot,
        agent_version=_agent_version(),
        board=_board(),
        model=plan.model,
        classes=plan.classes,
        semantics="occupancy",
        window_s=plan.length_s,
    )


def _agent_version() -> str:
    try:
        return version("zancudo")
    except PackageNotFoundError:
        return "not installed"


def _board() -> str:
    try:
        return Path("/proc/device-tree/model").read_text().strip("\0\n ")
    except OSError:
        return platform.machine()
