"""The agent put together: source, detector, windows, outbox and publisher."""

import itertools
import json
import platform
import signal
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import TextIO

import numpy as np
from trap_contract.broker import BrokerAddress
from trap_contract.correction import Correction
from trap_contract.detections import Detections
from trap_contract.detector import Detector
from trap_contract.errors import BundleError, SourceError
from trap_contract.logs import log
from trap_contract.messages import Birth, ModelRef, Semantics, Window

from trap_agent.afar import SettingsAfar, read_afar
from trap_agent.arrivals import ArrivalCounter
from trap_agent.catch import CatchCounter
from trap_agent.clock import Clock, SystemClock, kernel_boot_id
from trap_agent.conduct import STEADY, BoundarySink, Conduct
from trap_agent.counters import Counter
from trap_agent.counting import named_counts
from trap_agent.evidence.box import EvidenceBox
from trap_agent.evidence.courier import Courier
from trap_agent.evidence.witness import CountsFirst, Witness
from trap_agent.feeds import Feed, open_feed
from trap_agent.health import Vitals
from trap_agent.home_assistant import HomeAssistant
from trap_agent.lens import Lens
from trap_agent.observer import Observer, OnAnalysed
from trap_agent.outbox import Outbox
from trap_agent.preview import previewed
from trap_agent.preview.stage import About
from trap_agent.publisher import Link, Publisher
from trap_agent.remote import Remote
from trap_agent.runfiles import PicturesFile, run_folder
from trap_agent.settings import AgentSettings
from trap_agent.shutter import Shutter
from trap_agent.sinks import LineSink, OutboxSink, Sink, new_boot
from trap_agent.slots import INSTALLED, SlotFolder, begin, load_bundle, on_trial
from trap_agent.sources import Frame, Source, open_source, shown
from trap_agent.systemd import ServiceManager, service_manager
from trap_agent.tuning import Load, Tuning, begin_tuning, live_values
from trap_agent.updating.updater import Updater
from trap_agent.windows import WindowPlan, WindowSeries

EXIT_HELD = 3
"""Exit status when windows wait in the outbox for the next start."""

_LEAST_LIVE_S = 60.0


@dataclass(slots=True)
class StopRequest:
    """Set by SIGTERM or SIGINT; a second one cuts the draining short. SIGHUP asks for the settings to be read again."""

    stop: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)
    reload: threading.Event = field(default_factory=threading.Event)
    is_restart: bool = False

    def install(self, *, reloads: bool) -> None:
        """Listen for the signals; where nothing reloads, a hang-up ends the agent as it ends any program."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if reloads:
            signal.signal(signal.SIGHUP, lambda *_: self.reload.set())

    def restart(self) -> None:
        """End as by SIGTERM, to begin again."""
        self.is_restart = True
        self.stop.set()

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
    def open(cls, settings: AgentSettings, clock: Clock, *, may_be_missing: bool = False) -> "Eye":
        """Load the model, open the source. Raises BundleError or SourceError, but for a camera that may be missing."""
        detector = load_bundle(settings)
        source = open_source(settings.source, settings.fps, clock, settings.state_dir, may_be_missing=may_be_missing)
        model = ModelRef(
            id=detector.manifest.id,
            sha256=detector.sha256,
            threshold=detector.settings.threshold,
            backend=detector.backend,
        )
        plan = WindowPlan(
            settings.window,
            source.interval_s,
            detector.manifest.classes,
            model,
            kernel_boot_id(),
            settings.semantics,
            _correction(detector, settings.semantics),
        )
        log.info(
            "counting",
            model=model.id,
            backend=model.backend,
            source=shown(settings.source),
            window_s=settings.window,
            semantics=settings.semantics,
        )
        return cls(settings, clock, detector, source, plan)

    def changed(self, settings: AgentSettings) -> "Eye":
        """The same eye with other settings, of those that can change; a source that can't be opened anew stays."""
        standard = self.detector.manifest.threshold
        threshold = standard if settings.threshold is None else settings.threshold
        detector = self.detector.with_settings(replace(self.detector.settings, threshold=threshold))
        source = self.source
        if settings.fps != self.settings.fps:
            try:
                source = open_source(settings.source, settings.fps, self.clock, settings.state_dir)
            except SourceError as error:
                log.error("the source goes on at its old rate", error=str(error))
        model = self.plan.model.model_copy(update={"threshold": threshold})
        correction = _correction(detector, self.plan.semantics)
        plan = replace(
            self.plan, length_s=settings.window, interval_s=source.interval_s, model=model, correction=correction
        )
        return Eye(settings, self.clock, detector, source, plan)

    def open_feed(self) -> Feed:
        """Frames of the source at its pace."""
        return open_feed(self.source, self.clock, np.random.default_rng(), PicturesFile(run_folder()))

    def watch(self, sink: Sink, stop: threading.Event, told: OnAnalysed | None = None, by: Conduct = STEADY) -> None:
        """Fill windows until the source ends or `stop` is set; settings that wait come into force between two."""
        counter = _counter(self.plan, self.settings.state_dir)
        series = WindowSeries(self.plan, self.clock.now(), counter)
        shutter = Shutter(self.open_feed, self.clock, self.settings.schedule, by.on_sleep)
        if self.settings.schedule and self.source.pace != "live":
            log.warning("the schedule is for cameras, this source is looked at always", schedule=self.settings.schedule)
        boundary = BoundarySink(sink)
        with previewed(self.settings.preview_address, self._about(), told) as all_told:
            observer = Observer(self.detector, self.settings.tile, series, boundary, all_told)
            boundary.between = partial(_change, _Running(self, series, observer, shutter), by)
            observer.watch(shutter if self.source.pace == "live" else self.open_feed(), stop)

    def _about(self) -> About:
        model = self.plan.model
        return About(self.settings.trap, model.id, model.backend, model.threshold, self.plan.classes)


@dataclass(slots=True)
class _Running:
    eye: Eye
    series: WindowSeries
    observer: Observer
    shutter: Shutter

    def keep_pace(self) -> None:
        interval_s, plan = self.eye.source.interval_s, self.eye.plan
        if interval_s != plan.interval_s:
            self.eye = replace(self.eye, plan=replace(plan, interval_s=interval_s))
            self.series.replan(self.eye.plan)


def _change(running: _Running, by: Conduct) -> None:
    """Put the settings that wait in force, and go by the rate of the camera, which may be another one now."""
    settings = by.take()
    if settings is None:
        running.keep_pace()
        return
    if settings.fps != running.eye.settings.fps:
        running.shutter.shut()  # a camera that is held can't be opened anew
    before, running.eye = running.eye, running.eye.changed(settings)
    running.series.replan(running.eye.plan)
    running.observer.use(running.eye.detector)
    running.shutter.follow(settings.schedule)
    if running.eye.source is not before.source:
        running.shutter.exchange(running.eye.open_feed)
    by.on_changed(settings, running.eye.plan)


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


def deliver_windows(
    settings: AgentSettings, broker: BrokerAddress, request: StopRequest, load: Load | None = None
) -> int:
    """Count and deliver until stopped; the exit status. `load` merges all settings again, with those from afar.

    Raises StoreError at the end when windows could not be stored.
    """
    manager = service_manager()
    tuning = begin_tuning(settings, load or (lambda _: settings), read_afar(settings.state_dir).settings)
    post = _Post.open(tuning, broker, request)
    post.publisher.start()
    post.updater.start()
    manager.ready()
    _reload_on_request(request, tuning, manager)
    try:
        post.watch(request, tuning, manager)
    finally:
        manager.stopping()
        post.updater.stop()
        log.info("draining", held=post.outbox.held, at_most_s=settings.drain)
        held = post.publisher.finish(settings.drain, request.hurry)
        post.outbox.close()
    if held:
        log.warning("stopped; windows wait in the outbox for the next start", held=held)
        return EXIT_HELD
    log.info("stopped; every window is acknowledged")
    return 0


@dataclass(frozen=True, slots=True)
class _Post:
    """What a delivering agent consists of."""

    eye: Eye
    outbox: Outbox
    lens: Lens
    vitals: Vitals
    witness: Witness
    publisher: Publisher
    updater: Updater

    @classmethod
    def open(cls, tuning: Tuning, broker: BrokerAddress, request: StopRequest) -> "_Post":
        settings, clock, tls = tuning.current, SystemClock(), broker.tls_context()
        if settings.model == INSTALLED:
            begin(SlotFolder(settings.state_dir))
        eye = Eye.open(settings, clock, may_be_missing=True)
        folder, address, boot = settings.state_dir, settings.address, new_boot()
        outbox = Outbox(folder, address, boot, clock.now().wall_ms, settings.outbox_limit)
        lens = Lens(folder, shown(settings.source))
        vitals = Vitals(address, folder, clock, outbox, lens)
        box = EvidenceBox(folder, round(settings.evidence_disk * 1e6))
        witness = Witness(settings, eye.plan, box, np.random.default_rng())
        remote = Remote(
            settings.trap, folder, clock, status=vitals.as_text, restart=request.restart, snapshot=witness.snapshot
        )
        afar = SettingsAfar(settings.trap, folder, tuning)
        birth = _birth(settings, eye.plan, boot)
        updater, prefix = Updater(settings, clock, request.restart), settings.home_assistant
        home = None if prefix is None else HomeAssistant(prefix, address, settings.health)
        link = Link(
            broker, address, tls, birth, vitals.report, settings.health, remote, afar, updater, Courier(box), home
        )
        live_for_s = max(_LEAST_LIVE_S, 2 * settings.window)
        publisher = Publisher(link, outbox, clock, live_for_s, np.random.default_rng())
        return cls(eye, outbox, lens, vitals, witness, publisher, updater)

    def watch(self, request: StopRequest, tuning: Tuning, manager: ServiceManager) -> None:
        """Count until stopped. Raises StoreError at the end when windows could not be stored."""

        def stored(window: Window) -> None:
            self.publisher.announce(window)
            self.vitals.last = window
            self.witness.stored(window)
            manager.status(f"last window {window.counts}; {self.outbox.held} wait for the collector")

        def analysed(frame: Frame, found: Detections) -> None:
            manager.alive()
            self.witness.look(frame, found)
            if frame.pixels is not None:
                self.lens.look(frame.pixels, frame.at.mono_s)

        def changed(settings: AgentSettings, plan: WindowPlan) -> None:
            self.witness.follow(settings, plan)
            self.publisher.introduce(_birth(settings, plan, self.outbox.boot))

        sink = OutboxSink(self.outbox, stored)
        judged = on_trial(CountsFirst(sink, self.witness.box), self.eye.settings, request.restart)
        self.eye.watch(judged, request.stop, analysed, Conduct(tuning.take, manager.alive, changed))
        sink.close()


def _reload_on_request(request: StopRequest, tuning: Tuning, manager: ServiceManager) -> None:
    """Start the thread that reads the settings again, apart from the one that watches, so that neither waits."""

    def run() -> None:
        while request.reload.wait():
            request.reload.clear()
            manager.reloading()
            tuning.reload()
            manager.ready()

    threading.Thread(target=run, name="settings", daemon=True).start()


def _correction(detector: Detector, semantics: Semantics) -> Correction | None:
    """What corrects the counts; where nothing can, the log says why."""
    manifest = detector.manifest
    if semantics != "occupancy":
        log.info("no corrected counts: a confusion matrix of single pictures says nothing of them", semantics=semantics)
        return None
    if detector.settings.threshold != manifest.threshold:
        log.info("no corrected counts: the confusion matrix holds for one threshold", threshold=manifest.threshold)
        return None
    try:
        return Correction.of(manifest)
    except BundleError as error:
        log.info("no corrected counts", reason=str(error))
        return None


def _counter(plan: WindowPlan, state_dir: Path) -> Counter | None:
    if plan.semantics == "arrivals":
        return ArrivalCounter(len(plan.classes))
    if plan.semantics == "catch_delta":
        return CatchCounter(len(plan.classes), state_dir)
    return None


def _birth(settings: AgentSettings, plan: WindowPlan, boot: str) -> Birth:
    return Birth(
        trap=settings.trap,
        boot=boot,
        agent_version=_agent_version(),
        board=_board(),
        site=settings.site,
        model=plan.model,
        classes=plan.classes,
        semantics=plan.semantics,
        window_s=plan.length_s,
        settings=live_values(settings),
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
