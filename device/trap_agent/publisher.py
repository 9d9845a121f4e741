"""The thread that empties the outbox: it connects, sends, resends, and forgets what the collector has committed."""

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
from trap_contract.backoff import Backoff
from trap_contract.broker import BrokerAddress
from trap_contract.errors import DeliveryError, MessageError, StoreError, ZancudoError
from trap_contract.logs import log
from trap_contract.messages import Ack, Birth, CountBatch, Health, Lost, Resend, State, Window, parse_message
from trap_contract.topics import (
    ACK,
    ANSWER,
    BIRTH,
    COMMAND,
    COUNTS,
    DESIRED,
    EVIDENCE,
    HEALTH,
    LOST,
    PROGRESS,
    RESEND,
    SETTINGS,
    STATE,
    TrapAddress,
)

from trap_agent.afar import SettingsAfar
from trap_agent.clock import Clock
from trap_agent.delivery import MOST_ASKED, Delivery, Parcel
from trap_agent.evidence.courier import Courier
from trap_agent.home_assistant import HomeAssistant
from trap_agent.outbox import Outbox
from trap_agent.remote import Remote
from trap_agent.runfiles import LinkFile, run_folder
from trap_agent.session import Heard, Session
from trap_agent.updating.updater import Updater

_TURN_S = 0.1
_RETRY_BASE_S = 1.0
_RETRY_CAP_S = 120.0
_DRAIN_RETRY_CAP_S = 1.0
_TAKEN_OVER_S = 60.0
_BRIEF = 3
_RIVAL = "does another trap have this one's name?"
"""Asked after so many brief connections in a row: not every broker says that a session was taken over."""
_LOST_EVERY_S = 60.0
_MOST_RANGES = 500
_RANGE_BYTES = 128
"""More than a range takes as JSON."""

_Spoken = TypeVar("_Spoken", Ack, Resend)


@dataclass(frozen=True, slots=True)
class Link:
    """Where a trap's messages go, under which name, and what it says of itself at every connect."""

    broker: BrokerAddress
    trap: TrapAddress
    tls: ssl.SSLContext | None
    birth: Birth
    health: Callable[[], Health] | None = None
    health_every_s: float = 60.0
    remote: Remote | None = None
    afar: SettingsAfar | None = None
    updater: Updater | None = None
    courier: Courier | None = None
    home: HomeAssistant | None = None
    told: LinkFile = field(default_factory=lambda: LinkFile(run_folder()))


class Publisher:
    """Delivers from an outbox in a thread of its own, until `finish`."""

    def __init__(self, link: Link, outbox: Outbox, clock: Clock, live_for_s: float, rng: np.random.Generator) -> None:
        self._link = link
        self._outbox = outbox
        self._clock = clock
        self._backoff = Backoff(_RETRY_BASE_S, _RETRY_CAP_S, rng)
        self._delivery = Delivery(live_for_s, rng)
        self._closed: deque[Window] = deque()
        self._birth = link.birth
        self._is_birth_due = False
        self._most_ranges = _MOST_RANGES
        self._lost_due_s = self._health_due_s = 0.0
        self._finish_at_s: float | None = None
        self._brief = 0
        self._wake = threading.Event()
        self._failure: BaseException | None = None
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin to connect and deliver."""
        self._thread.start()

    def announce(self, window: Window) -> None:
        """A window was stored just now. Raises what ended the thread, if it ended."""
        if self._failure is not None:
            raise self._failure
        self._closed.append(window)

    def introduce(self, birth: Birth) -> None:
        """What this trap is has changed."""
        self._birth, self._is_birth_due = birth, True

    def finish(self, within_s: float, hurry: threading.Event) -> int:
        """Deliver what is held, until `hurry` or for at most that long, and say goodbye; how many are still held."""
        self._hurry = hurry
        self._finish_at_s = time.monotonic() + within_s
        self._wake.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._outbox.held

    def _run(self) -> None:
        try:
            while not self._is_done():
                self._live_one_session()
        except Exception as error:  # noqa: BLE001 - it is raised again where the agent stores its next window
            self._failure = error

    def _is_done(self) -> bool:
        if self._finish_at_s is None:
            return False
        return self._outbox.held == 0 or self._hurry.is_set() or time.monotonic() >= self._finish_at_s

    def _live_one_session(self) -> None:
        """Connect, deliver until that fails, wait before the next try."""
        begun_s, was_in = time.monotonic(), False
        session = Session(self._link.broker, self._link.trap, self._link.tls, self._state("offline"))
        try:
            with closing(session):
                session.open()
                was_in = True
                self._greet(session)
                self._deliver(session)
                session.publish(STATE, self._state("stopped"), retain=True)
                session.farewell()
        except (DeliveryError, StoreError) as error:
            lived_s = time.monotonic() - begun_s
            self._brief = self._brief + 1 if was_in and lived_s < _TAKEN_OVER_S else 0
            self._wait_after(error, lived_s, is_taken_over=session.is_taken_over)

    def _wait_after(self, error: ZancudoError, lived_s: float, *, is_taken_over: bool) -> None:
        self._link.told.lost(f"{error}; {_RIVAL}" if self._brief >= _BRIEF else str(error))
        wait_s = self._backoff.wait_s(lived_s)
        if self._finish_at_s is not None:
            wait_s = min(wait_s, _DRAIN_RETRY_CAP_S)
        elif is_taken_over:
            wait_s += _TAKEN_OVER_S
        if is_taken_over:
            log.error("another client took this trap's name; give each trap its own", trap=self._link.trap.trap)
        elif self._brief == _BRIEF:
            log.error(f"let in and cut off {_BRIEF} times in a row; {_RIVAL}", trap=self._link.trap.trap)
        log.warning("no delivery, windows are kept", error=str(error), held=self._outbox.held, retry_s=round(wait_s, 1))
        self._pause(wait_s)

    def _pause(self, seconds: float) -> None:
        """Wait; `finish` ends the wait, once."""
        self._wake.wait(seconds)
        if self._finish_at_s is not None:
            self._wake.clear()

    def _greet(self, session: Session) -> None:
        self._delivery.connected(session.receive_maximum - 2)
        if self._link.courier is not None:
            self._link.courier.connected()
        self._most_ranges = max(1, min(_MOST_RANGES, session.most_bytes // _RANGE_BYTES // 2))
        self._lost_due_s = self._health_due_s = time.monotonic()
        session.publish(STATE, self._state("online"), retain=True)
        self._send_birth(session)
        for answer in self._link.remote.begun() if self._link.remote else ():
            session.publish(ANSWER, answer)
        if self._link.updater is not None:
            self._link.updater.repeat()
        self._link.told.connected()
        log.info("connected", broker=str(self._link.broker), held=self._outbox.held)

    def _deliver(self, session: Session) -> None:
        is_hastened = False
        while not self._is_done():
            now_s = time.monotonic()
            if self._finish_at_s is not None and not is_hastened:
                self._delivery.hasten(now_s)
                is_hastened = True
            while self._closed:
                window = self._closed.popleft()
                self._delivery.closed((window.boot, window.seq), now_s)
                if self._link.home is not None and not self._closed:
                    session.post(self._link.home.state(window))
            self._send_due(session, now_s)
            self._send_losses(session, now_s)
            self._send_picture(session, now_s)
            self._send_health(session, now_s)
            if self._is_birth_due:
                self._send_birth(session)
            if self._link.updater is not None and (progress := self._link.updater.news()):
                session.publish(PROGRESS, progress, retain=True)
            for heard in session.turn(_TURN_S):
                self._hear(session, heard)

    def _send_due(self, session: Session, now_s: float) -> None:
        while self._outbox.held and (parcel := self._delivery.next(now_s, self._outbox.oldest)):
            self._send(session, parcel)

    def _send(self, session: Session, parcel: Parcel) -> None:
        windows = self._outbox.load(parcel.keys)
        if not windows:
            self._delivery.gone(parcel)
            return
        batch = CountBatch(
            trap=self._link.trap.trap,
            sent_wall_ms=self._clock.now().wall_ms,
            backlog=parcel.is_backlog,
            windows=tuple(windows),
        )
        if not session.publish(COUNTS, batch):
            self._too_large(parcel)

    def _too_large(self, parcel: Parcel) -> None:
        self._delivery.too_large(parcel)
        if len(parcel.keys) == 1:
            boot, seq = parcel.keys[0]
            log.error("the broker takes no message as large as this window, it is kept", boot=boot, seq=seq)

    def _send_birth(self, session: Session) -> None:
        self._is_birth_due = False
        now: dict[str, object] = {"held": self._outbox.held_ranges(self._most_ranges)}
        now |= self._link.afar.report() if self._link.afar else {}
        session.publish(BIRTH, self._birth.model_copy(update=now), retain=True)
        if self._link.home is not None:
            session.post(self._link.home.config(self._birth))

    def _send_losses(self, session: Session, now_s: float) -> None:
        """Name what never comes; again until it is acknowledged, because nothing else says that it was heard."""
        if now_s < self._lost_due_s:
            return
        self._lost_due_s = now_s + _LOST_EVERY_S
        losses = self._outbox.losses(self._most_ranges)
        for reason in dict.fromkeys(loss.reason for loss in losses):
            ranges = tuple(loss.part for loss in losses if loss.reason == reason)
            session.publish(LOST, Lost(trap=self._link.trap.trap, ranges=ranges, reason=reason))

    def _send_picture(self, session: Session, now_s: float) -> None:
        """Send one when the collector has every count that it takes, and the agent is not about to end."""
        if self._link.courier is None or self._delivery.in_flight or self._finish_at_s is not None:
            return
        evidence = self._link.courier.next(now_s)
        if evidence is not None and not session.publish(EVIDENCE, evidence):
            self._link.courier.too_large(evidence)

    def _send_health(self, session: Session, now_s: float) -> None:
        if self._link.health is not None and now_s >= self._health_due_s:
            self._health_due_s = now_s + self._link.health_every_s
            session.publish(HEALTH, self._link.health())

    def _hear(self, session: Session, heard: Heard) -> None:
        if heard.leaf == ACK and (ack := self._understood(Ack, heard)):
            removed = self._outbox.acknowledge(ack.ranges)
            self._delivery.acknowledged(ack.ranges, time.monotonic())
            if self._link.courier is not None:
                self._link.courier.settled(ack.evidence)
            log.debug("acknowledged", windows=removed, held=self._outbox.held)
        if heard.leaf == RESEND and (resend := self._understood(Resend, heard)):
            keys = self._outbox.requested(resend.ranges, MOST_ASKED)
            self._delivery.asked(keys, time.monotonic())
            self._lost_due_s = time.monotonic()
            log.info("the collector asks for windows again", held=len(keys))
        if heard.leaf == COMMAND and self._link.remote and (answer := self._link.remote.obey(heard)):
            session.publish(ANSWER, answer)
        if heard.leaf == SETTINGS and self._link.afar and self._link.afar.hear(heard):
            self._is_birth_due = True
        if heard.leaf == DESIRED and self._link.updater is not None:
            self._link.updater.hear(heard)

    def _understood(self, kind: type[_Spoken], heard: Heard) -> _Spoken | None:
        try:
            message = parse_message(kind, heard.payload)
        except MessageError as error:
            log.warning("message ignored", topic=heard.leaf, error=str(error))
            return None
        if message.trap != self._link.trap.trap:
            log.warning("message ignored", topic=heard.leaf, error=f"it is for trap {message.trap!r}")
            return None
        return message

    def _state(self, state: Literal["online", "stopped", "offline"]) -> State:
        return State(trap=self._link.trap.trap, state=state, boot=self._outbox.boot, wall_ms=self._clock.now().wall_ms)
