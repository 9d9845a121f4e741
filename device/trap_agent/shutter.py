"""The feed of a trap that sleeps by a schedule, and whose source can be exchanged; it says why no frames come."""

import time
from collections.abc import Callable
from dataclasses import replace

from trap_contract.logs import log
from trap_contract.schedule import Schedule

from trap_agent.clock import Clock, Moment
from trap_agent.feeds import Feed
from trap_agent.schedule import TrustedTime
from trap_agent.slot import Taken

OpenFeed = Callable[[], Feed]


class Shutter:
    """A feed around another one; `on_sleep` is told at every turn of a scheduled sleep."""

    def __init__(self, open_feed: OpenFeed, clock: Clock, schedule: str | None, on_sleep: Callable[[], None]) -> None:
        self._open_feed = open_feed
        self._clock = clock
        self._on_sleep = on_sleep
        self._trusted = TrustedTime()
        self._feed: Feed | None = None
        self.follow(schedule)

    def follow(self, schedule: str | None) -> None:
        """Look in these hours from now on, always without any. Raises ConfigError for hours that are malformed."""
        self._schedule = None if schedule is None else Schedule.parse(schedule)

    def shut(self) -> None:
        """Close the feed, and with it the camera; it is opened again when a frame is wanted."""
        self._close_feed()

    def exchange(self, open_feed: OpenFeed) -> None:
        """Close the feed; the next one is opened by this."""
        self._close_feed()
        self._open_feed = open_feed

    def take(self, timeout_s: float) -> Taken:
        now = self._clock.now()
        if self._is_asleep(now):
            return self._sleep(timeout_s)
        if self._feed is None:
            self._feed = self._open_feed()
            return Taken(None, now, lost=(now,), absence="no_frame")
        return self._feed.take(timeout_s)

    def close(self) -> Taken:
        last = self._close_feed()
        return Taken(None, self._clock.now(), has_ended=True) if last is None else last

    def _is_asleep(self, now: Moment) -> bool:
        wall_ms = self._trusted.wall_ms(now)
        return self._schedule is not None and wall_ms is not None and not self._schedule.is_open(wall_ms)

    def _sleep(self, timeout_s: float) -> Taken:
        last = self._close_feed()
        if last is not None:
            log.info("asleep by the schedule")
            return replace(last, lost=(last.now,), absence="schedule", has_ended=False)
        time.sleep(timeout_s)
        self._on_sleep()
        now = self._clock.now()
        return Taken(None, now, lost=(now,), absence="schedule")

    def _close_feed(self) -> Taken | None:
        last = None if self._feed is None else self._feed.close()
        self._feed = None
        return last
