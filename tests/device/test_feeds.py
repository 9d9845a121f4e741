import itertools
import threading

import numpy as np
import pytest
from trap_agent import feeds
from trap_agent.clock import SystemClock
from trap_agent.feeds import LiveFeed, ReplayFeed, open_feed
from trap_agent.observer import Observer
from trap_agent.slot import Taken
from trap_agent.sources import Frame
from trap_agent.windows import WindowSeries
from trap_contract.errors import SourceError
from waiting import until

from device.samples import SetClock, found, moment, plan

PIXELS = np.full((8, 8, 3), 100, np.uint8)


class Script:
    """A source that plays runs of frames, each of which ends with the camera lost."""

    pace = "live"
    interval_s = 0.01

    def __init__(self, *runs: int, failure: type[Exception] = SourceError) -> None:
        self.runs = list(runs)
        self.failure = failure
        self.opened = 0
        self.frames_given = 0
        self.released = threading.Event()

    def frames(self):
        self.opened += 1
        for _ in range(self.runs.pop(0) if self.runs else 0):
            self.frames_given += 1
            yield Frame(PIXELS, SystemClock().now())
        if not self.runs:
            self.released.wait(20)
        raise self.failure("the camera is gone")


class Replay(Script):
    pace = "replay"

    def frames(self):
        for place in range(self.runs[0]):
            yield Frame(PIXELS, moment(100 + place * self.interval_s))


class SlowDetector:
    """Takes one frame, and waits in it until it may go on."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        self.calls = 0

    def detect(self, _picture):
        self.calls += 1
        self.has_begun.set()
        assert self.may_end.wait(20)
        return found(0)

    def detect_tiled(self, picture, _size):
        return self.detect(picture)


class Kept:
    """A sink that keeps."""

    def __init__(self) -> None:
        self.windows = []

    def accept(self, draft) -> None:
        self.windows.append(draft(boot="0" * 32, seq=len(self.windows) + 1))


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(feeds, "_REOPEN_BASE_S", 0.01)
    monkeypatch.setattr(feeds, "_CLOSE_S", 0.1)


def test_a_replay_gives_every_frame_and_then_ends():
    feed = ReplayFeed(Replay(5), SetClock())
    seen = []
    while not (taken := feed.take(0)).has_ended:
        seen.append(taken.frame.at.mono_s)
    assert seen == pytest.approx([100, 100.01, 100.02, 100.03, 100.04])
    assert feed.close().now.mono_s == pytest.approx(100.05)


def test_a_lost_camera_is_opened_again_and_nothing_waits_for_it():
    source = Script(2, 0, 3)
    feed = LiveFeed(source, SystemClock(), np.random.default_rng(0))
    until(lambda: source.frames_given == 5, "frames of both lives of the camera")
    assert source.opened == 3
    source.released.set()
    feed.close()


def test_who_is_told_of_pictures_hears_that_they_were_lost_and_are_back():
    source, told = Script(2, 0, 3), Told()
    feed = LiveFeed(source, SystemClock(), np.random.default_rng(0), told)
    until(lambda: source.frames_given == 5, "frames of both lives of the camera")
    source.released.set()
    feed.close()
    assert [state for state, _ in itertools.groupby(told.states)][:3] == ["coming", "lost", "coming"]


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.states = []

    def coming(self) -> None:
        self.states.append("coming")

    def lost(self, _reason: str) -> None:
        self.states.append("lost")


def test_capture_does_not_wait_for_a_slow_analysis_and_every_drop_is_counted():
    source, detector, sink = Script(50), SlowDetector(), Kept()
    series = WindowSeries(plan(3600, 0.01), SystemClock().now())
    feed, stop = LiveFeed(source, SystemClock(), np.random.default_rng(0)), threading.Event()
    watch = threading.Thread(target=Observer(detector, None, series, sink).watch, args=(feed, stop))
    watch.start()
    assert detector.has_begun.wait(20)
    until(lambda: source.frames_given == 50, "all captured while one was analysed")
    stop.set()
    detector.may_end.set()
    watch.join(20)
    source.released.set()
    effort = sink.windows[-1].effort
    assert effort.frames_seen == 50
    assert effort.frames_analysed == detector.calls <= 50
    assert effort.frames_dropped == 50 - detector.calls


def test_a_camera_that_delivers_nothing_gives_no_counts_rather_than_zeros():
    source, sink, stop = Script(0), Kept(), threading.Event()
    series = WindowSeries(plan(0.2, 0.01), SystemClock().now())
    feed = LiveFeed(source, SystemClock(), np.random.default_rng(0))
    watch = threading.Thread(target=Observer(SlowDetector(), None, series, sink).watch, args=(feed, stop))
    watch.start()
    until(lambda: len(sink.windows) >= 2, "windows close without a frame")
    stop.set()
    watch.join(20)
    source.released.set()
    assert [window.counts for window in sink.windows] == [None] * len(sink.windows)
    assert {gap.reason for gap in sink.windows[1].effort.gaps} <= {"no_frame", "camera"}


class Quick:
    """Sees one insect in every frame at once."""

    def detect(self, _picture):
        return found(0)

    def detect_tiled(self, _picture, _size):
        return found(0)


class Said:
    """A feed that says what it was told to."""

    def __init__(self, *taken: Taken) -> None:
        self.taken = list(taken)

    def take(self, _timeout_s):
        return self.taken.pop(0)

    def close(self):
        return self.taken.pop(0)


def shown(second: float, **more: object) -> Taken:
    return Taken(Frame(PIXELS, moment(second)), moment(second), **more)


def test_the_time_from_a_loss_to_the_next_frame_is_a_gap_of_the_camera():
    ended, sink = Taken(None, moment(110), has_ended=True), Kept()
    feed = Said(
        shown(101), shown(102), shown(103, lost=(moment(103.5),)), shown(107), shown(108), shown(109), ended, ended
    )
    Observer(Quick(), None, WindowSeries(plan(10, 1.0), moment(100)), sink).watch(feed, threading.Event())
    (window,) = sink.windows
    assert {gap.reason: gap.seconds for gap in window.effort.gaps} == {"camera": 2.5}
    assert window.effort.frames_analysed == 6


def test_a_source_that_is_lost_says_so_and_is_opened_anew():
    source = Script(1, 1)
    feed = open_feed(source, SystemClock(), np.random.default_rng(0))
    lost: list[object] = []
    until(lambda: lost.extend(feed.take(0.05).lost) or lost, "the loss")
    source.released.set()
    feed.close()


def test_a_fault_in_the_capture_thread_is_raised_where_frames_are_taken():
    source = Script(0, failure=ZeroDivisionError)
    source.released.set()
    feed = LiveFeed(source, SystemClock(), np.random.default_rng(0))
    with pytest.raises(ZeroDivisionError):
        until(lambda: feed.take(0.1).has_ended, "the fault")


@pytest.mark.parametrize("value", [0, 7, 250, 255])
def test_a_picture_that_shows_nothing_is_a_gap_and_no_zero_and_the_watchdog_hears_of_it(value):
    blank, ended, sink, told = (
        np.full((40, 60, 3), value, np.uint8),
        Taken(None, moment(110), has_ended=True),
        Kept(),
        [],
    )
    frames = [Taken(Frame(blank, moment(second)), moment(second)) for second in range(101, 110)]
    series = WindowSeries(plan(10, 1.0), moment(100))
    Observer(Quick(), None, series, sink, lambda _, seen: told.append(len(seen))).watch(
        Said(*frames, ended, ended), threading.Event()
    )
    (window,) = sink.windows
    assert {gap.reason: gap.seconds for gap in window.effort.gaps} == {"dark": 10}
    assert (window.counts, window.effort.frames_seen, window.effort.frames_analysed) == (None, 9, 0)
    assert told == [0] * 9
