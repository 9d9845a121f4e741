"""A feed that sleeps by a schedule."""

from collections.abc import Sequence

import numpy as np
import pytest
from trap_agent.clock import Moment
from trap_agent.effort import Absence
from trap_agent.shutter import Shutter
from trap_agent.slot import Taken
from trap_agent.sources import Frame
from trap_agent.windows import WindowSeries
from trap_contract.messages import Window

from device.samples import WALL_MS, found, moment, plan

DAY_MS = 86_400_000
MIDNIGHT_MS = WALL_MS - WALL_MS % DAY_MS


class Clock:
    """A monotonic clock that goes on by itself, and a wall clock beside it that can be stepped."""

    def __init__(self, hour: float, *, is_synced: bool = True) -> None:
        self.mono_s, self.wall_ms, self.is_synced = 1000.0, MIDNIGHT_MS + round(hour * 3_600_000), is_synced

    def now(self) -> Moment:
        return moment(self.mono_s, self.wall_ms, is_synced=self.is_synced)

    def go(self, seconds: float) -> None:
        self.mono_s += seconds
        self.wall_ms += round(seconds * 1000)


class Camera:
    """A feed with a frame at every look."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.is_open = clock, True

    def take(self, timeout_s: float) -> Taken:
        now = self.clock.now()
        return Taken(Frame(np.zeros((2, 2, 3), np.uint8), now), now)

    def close(self) -> Taken:
        self.is_open = False
        return Taken(None, self.clock.now(), has_ended=True)


class Site:
    def __init__(self, clock: Clock, schedule: str | None = "18:00-06:00 UTC") -> None:
        self.clock, self.cameras, self.sleeps = clock, [], 0
        self.shutter = Shutter(self.open, clock, schedule, self.count_sleep)

    def open(self) -> Camera:
        self.cameras.append(Camera(self.clock))
        return self.cameras[-1]

    def count_sleep(self) -> None:
        self.sleeps += 1

    def looks(self, times: int = 4, step_s: float = 1.0) -> Sequence[Absence | None]:
        """What comes at each look: None for a frame, else why there is none."""
        seen = []
        for _ in range(times):
            taken = self.shutter.take(0)
            assert not taken.has_ended
            seen.append(None if taken.frame else taken.absence)
            self.clock.go(step_s)
        return seen


def test_in_its_hours_a_trap_looks():
    site = Site(Clock(20))
    assert site.looks() == ["no_frame", None, None, None]
    assert (len(site.cameras), site.sleeps) == (1, 0)


def test_outside_them_it_closes_the_camera_and_says_that_it_sleeps():
    site = Site(Clock(5.9999))
    site.looks(2)
    assert site.looks(3) == ["schedule"] * 3
    assert not site.cameras[0].is_open
    assert site.sleeps == 3


def test_it_wakes_with_a_camera_opened_anew():
    site = Site(Clock(17.9998))
    assert site.looks(4) == ["schedule", "no_frame", None, None]
    assert len(site.cameras) == 1


@pytest.mark.parametrize("hour", [12, 20])
def test_a_trap_that_never_knew_the_time_looks_always(hour):
    site = Site(Clock(hour, is_synced=False))
    assert site.looks(3)[1:] == [None, None]


@pytest.mark.parametrize("step_ms", [-14 * DAY_MS + 12 * 3_600_000, DAY_MS // 2])
def test_a_step_of_a_clock_that_is_no_longer_synchronised_neither_wakes_nor_lulls_it(step_ms):
    site = Site(Clock(20))
    site.looks(2)
    site.clock.is_synced = False
    site.clock.wall_ms += step_ms
    assert site.looks(3) == [None, None, None]


def test_a_step_of_a_synchronised_clock_is_followed_at_once():
    site = Site(Clock(20))
    site.looks(2)
    site.clock.wall_ms += 12 * 3_600_000
    assert site.looks(2) == ["schedule", "schedule"]


def test_other_hours_and_another_source_hold_from_then_on():
    site = Site(Clock(20))
    site.looks(2)
    site.shutter.follow("08:00-09:00 UTC")
    assert site.looks(2) == ["schedule", "schedule"]
    site.shutter.follow(None)
    site.shutter.exchange(site.open)
    assert site.looks(2) == ["no_frame", None]
    assert [camera.is_open for camera in site.cameras] == [False, True]


def test_closing_it_asleep_or_awake_ends_it():
    for hour in (12, 20):
        site = Site(Clock(hour))
        site.looks(3)
        assert site.shutter.close().has_ended


def watched(site: Site, seconds: int) -> list[Window]:
    """The windows of so many seconds at a look a second."""
    series, drafts = WindowSeries(plan(), site.clock.now()), []
    for _ in range(seconds):
        taken = site.shutter.take(0)
        at = taken.frame.at if taken.frame else taken.now
        drafts += series.advance(at)
        for lost in taken.lost:
            series.lost(lost, taken.absence)
        if taken.frame:
            series.analysed(at, found(), 1.0)
        site.clock.go(1.0)
    drafts += series.finish(site.clock.now())
    return [draft(boot="0" * 32, seq=seq) for seq, draft in enumerate(drafts, 1)]


def test_a_window_slept_through_is_sent_without_counts_and_is_no_silent_zero():
    windows = watched(Site(Clock(12)), 30)
    assert len(windows) == 3
    for window in windows[1:]:
        assert window.counts is None
        assert window.effort.observed_s == 0
        assert {gap.reason: gap.seconds for gap in window.effort.gaps} == {"schedule": 10.0}


def test_a_window_half_slept_through_says_how_much():
    windows = watched(Site(Clock(6 - 15 / 3600)), 30)
    assert windows[0].effort.gaps == ()
    half = {gap.reason: gap.seconds for gap in windows[1].effort.gaps}
    assert windows[1].counts is not None
    assert half["schedule"] == pytest.approx(5, abs=1.1)
    assert windows[1].effort.observed_s + sum(half.values()) == pytest.approx(10)


def test_a_camera_that_stays_dark_after_waking_is_not_called_sleep():
    clock = Clock(18 - 5 / 3600)
    site = Site(clock)
    site.open = lambda: Dead(clock)
    site.shutter.exchange(site.open)
    windows = watched(site, 30)
    assert {gap.reason for gap in windows[1].effort.gaps} == {"no_frame"}


class Dead(Camera):
    """A feed without frames."""

    def take(self, timeout_s: float) -> Taken:
        return Taken(None, self.clock.now())
