"""The thread that carries a rollout out: it fetches, checks, installs, restarts the agent, and watches the trial.

What it is at is in one file, replaced in one step; whatever a power cut leaves, the next start goes on from there.
"""

import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from trap_contract.backoff import Backoff
from trap_contract.errors import BundleError, ConfigError, DeliveryError, MessageError, StoreError
from trap_contract.logs import log
from trap_contract.messages import parse_message
from trap_contract.rollout import Desired, Progress
from trap_contract.signature import Signature, load_public_key, read_signature

from trap_agent.clock import Clock
from trap_agent.session import Heard
from trap_agent.settings import AgentSettings
from trap_agent.slots import INSTALLED, SlotFolder
from trap_agent.statefile import read_state, write_state
from trap_agent.trial import rolled_back
from trap_agent.updating.fetching import Fetch, Open, opener
from trap_agent.updating.job import Job, can_return, next_step, refusal, taken_up, watched

FILE_NAME = "rollout.json"
FOLDER = "fetched"
LOOK_S = 5.0
MOST_DAMAGED = 3
TOLD_BYTES = 512 * 1024
_RETRY_S, _MOST_RETRY_S = 5.0, 600.0


class Updater:
    """One trap's part in rollouts; `hear` and `news` are the publisher's side, the thread does the work."""

    def __init__(
        self, settings: AgentSettings, clock: Clock, restart: Callable[[], None], opened: Open | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._restart = restart
        self._open = opened or opener(settings)
        self._slots = SlotFolder(settings.state_dir)
        self._file = settings.state_dir / FILE_NAME
        self._folder = settings.state_dir / FOLDER
        self._job = read_state(self._file, Job)
        self._is_news = self._job is not None
        self._damaged = 0
        self._backoff = Backoff(_RETRY_S, _MOST_RETRY_S, np.random.default_rng())
        self._wake, self._stop = threading.Event(), threading.Event()
        self._mutex = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="updater", daemon=True)

    def start(self) -> None:
        """Go on with what an earlier run began."""
        self._thread.start()

    def stop(self) -> None:
        """End; a download goes on at the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def hear(self, heard: Heard) -> None:
        """A wish of the collector; what is none for this trap is logged."""
        if not heard.payload:
            return  # the collector took its wish back from the broker; what has begun goes on
        try:
            wish = parse_message(Desired, heard.payload)
        except MessageError as error:
            log.warning("rollout ignored", error=str(error))
            return
        if wish.trap != self._settings.trap:
            log.warning("rollout ignored", error=f"it is for trap {wish.trap!r}")
            return
        with self._mutex:
            self._job, self._is_news, self._damaged = taken_up(self._job, wish), True, 0
        self._wake.set()

    def repeat(self) -> None:
        """A new connection: say it again."""
        self._is_news = self._job is not None

    def news(self) -> Progress | None:
        """What has changed since it was asked last."""
        with self._mutex:
            job, is_news, self._is_news = self._job, self._is_news, False
        return job.progress(self._clock.now().wall_ms) if job is not None and is_news else None

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            wait_s = self.turn()
            self._wake.wait(wait_s)

    def turn(self) -> float | None:
        """Do what is next; seconds until something may be next again, None when only a new wish brings it."""
        with self._mutex:
            job = self._job
        if job is None:
            return None
        try:
            return self._take(job)
        except (DeliveryError, StoreError) as error:
            self._keep(job.at(job.state, str(error), fetched=self._fetched()))
            log.warning("rollout waits", rollout=job.desired.rollout, error=str(error))
            return self._backoff.wait_s()
        except (BundleError, ConfigError) as error:
            self._end(job.at("failed", str(error)))
            return None

    def _take(self, job: Job) -> float | None:
        slots, counting = self._slots.read(), self._counting()
        step = next_step(job, slots, counting)
        if step == "return":
            self._return(job, counting)
        elif step == "watch":
            after = watched(job, slots, counting)
            (self._end if after.is_done else self._keep)(after)
            return None if after.is_done else LOOK_S
        elif step == "fetch":
            self._install(job, counting)
        return LOOK_S if step == "wait" else None

    def _install(self, job: Job, counting: Signature | None) -> None:
        trust = self._settings.trust
        trusted = None if trust is None else frozenset({load_public_key(trust)})
        why = refusal(job, counting, trusted, is_fixed=self._settings.model != INSTALLED)
        if why is not None:
            self._end(job.at("refused", why))
            return
        now = self._clock.now()
        if now.is_synced and now.wall_ms > job.desired.deadline_wall_ms:
            self._end(job.at("expired", "its deadline passed before it was complete"))
            return
        bundle = self._fetch(job)
        if self._is_overtaken(job):
            raise DeliveryError("a newer wish came while the bundle was fetched")
        seen = self._slots.install(bundle, trusted)
        self._keep(job.at("trial", seen, fetched=job.desired.bundle.size))
        self._clear()
        log.warning("a bundle from afar is on trial; restarting", model=job.desired.bundle.model, seen=seen)
        self._restart()

    def _fetch(self, job: Job) -> Path:
        """The complete bundle. Raises as `Fetch` does; damage is a bad line, but not MOST_DAMAGED times."""
        wish = job.desired
        place = self._folder / wish.bundle.digest[:16]
        for old in self._folder.glob("*"):
            if old != place:
                shutil.rmtree(old, ignore_errors=True)
        self._keep(job.at("downloading", fetched=self._fetched()))
        is_over, told = partial(self._is_overtaken, job), partial(self._tell, job)
        try:
            return Fetch(wish.bundle, wish.url, wish.token, place, self._open, is_over, told).run()
        except BundleError as error:
            self._damaged += 1
            if self._damaged >= MOST_DAMAGED:
                raise
            raise DeliveryError(f"{error}; fetching it again") from error

    def _is_overtaken(self, job: Job) -> bool:
        return self._stop.is_set() or not _is_same(self._job, job)

    def _tell(self, job: Job, fetched: int) -> None:
        """In memory only: what is on the card says it after a power cut."""
        with self._mutex:
            if self._job is not None and _is_same(self._job, job) and fetched - self._job.fetched >= TOLD_BYTES:
                self._job, self._is_news = self._job.at("downloading", fetched=fetched), True

    def _return(self, job: Job, counting: Signature | None) -> None:
        is_here = counting is not None and counting.digest == job.desired.bundle.digest
        self._clear()
        if not is_here:
            self._end(job.at("rolled_back", "withdrawn; it does not count here"))
        elif not can_return(self._slots.read()):
            self._end(job.at("failed", "withdrawn, and there is no other bundle to return to"))
        else:
            self._slots.change(lambda now: rolled_back(now, "withdrawn by the collector"))
            self._end(job.at("rolled_back", "withdrawn by the collector"))
            self._restart()

    def _end(self, after: Job) -> None:
        say = log.info if after.state == "active" else log.error
        say("rollout ended", rollout=after.desired.rollout, state=after.state, text=after.text)
        self._keep(after)
        self._clear()

    def _keep(self, after: Job) -> None:
        """Remember and tell, unless another wish has come meanwhile."""
        with self._mutex:
            if not _is_same(self._job, after) or self._job == after:
                return
            self._job, self._is_news = after, True
        try:
            write_state(self._file, after)
        except StoreError as error:
            log.error("how far a rollout has come is not kept", error=str(error))

    def _clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fetched(self) -> int:
        return sum(file.stat().st_size for file in self._folder.rglob("*") if file.is_file())

    def _counting(self) -> Signature | None:
        """Who signed the active bundle, and when; None where nothing is installed or it is unsigned."""
        try:
            return read_signature(self._slots.active_bundle())
        except BundleError:
            return None


def _is_same(one: Job | None, other: Job) -> bool:
    """Whether both are the same wish; its address and token may have changed."""
    mine, yours = None if one is None else one.desired, other.desired
    return mine is not None and (mine.rollout, mine.action) == (yours.rollout, yours.action)
