"""What to send next, what is on its way, and what an acknowledgement settles: the protocol without the network.

A parcel is one message of up to 60 windows. Until the collector acknowledges all of it, it is in flight and is sent
again after 20 s, then after twice as long each time, up to 5 min. A lost connection puts everything back: the new one
begins with the windows closed lately (live), then those that the collector asked for, then the backlog, oldest first.

A parcel that the collector passes over twice, acknowledging what was sent after it, holds something that it does not
take. Its windows are then sent one by one; one that is passed over again is set aside until the next connection, so
that it never holds a place that others need.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from trap_contract.backoff import doubled
from trap_contract.messages import MAX_WINDOWS, AckRange

from trap_agent.outbox import Key

MAX_IN_FLIGHT = 8
MOST_ASKED = MAX_IN_FLIGHT * MAX_WINDOWS
RESEND_S = 20.0
RESEND_CAP_S = 300.0

_LEAST_JITTER = 0.8
_MOST_PASSES = 2


@dataclass(frozen=True, slots=True)
class Parcel:
    """The keys of one message, how often it was sent before, and how often later ones were settled before it."""

    keys: tuple[Key, ...]
    is_backlog: bool
    attempt: int = 0
    passes: int = 0


@dataclass(slots=True)
class _Flight:
    due_s: float
    order: int
    parcel: Parcel
    is_passed: bool = False


class Delivery:
    """State of the delivery of one outbox over one connection after another."""

    def __init__(self, live_for_s: float, rng: np.random.Generator) -> None:
        self._live_for_s = live_for_s
        self._rng = rng
        self._limit = MAX_IN_FLIGHT
        self._most_windows = MAX_WINDOWS
        self._sent = 0
        self._live: deque[tuple[Key, float]] = deque(maxlen=MAX_WINDOWS)
        self._asked: deque[Key] = deque(maxlen=MOST_ASKED)
        self._suspects: deque[Key] = deque()
        self._aside: set[Key] = set()
        self._in_flight: list[_Flight] = []

    @property
    def in_flight(self) -> tuple[Parcel, ...]:
        """Parcels sent over this connection and not acknowledged in full."""
        return tuple(flight.parcel for flight in self._in_flight)

    @property
    def aside(self) -> frozenset[Key]:
        """Windows that the collector does not take; they wait for the next connection."""
        return frozenset(self._aside)

    def connected(self, most_in_flight: int = MAX_IN_FLIGHT) -> None:
        """A new connection: nothing is on its way."""
        self._in_flight.clear()
        self._asked.clear()
        self._suspects.clear()
        self._aside.clear()
        self._most_windows = MAX_WINDOWS
        self._limit = max(1, min(most_in_flight, MAX_IN_FLIGHT))

    def closed(self, key: Key, now_s: float) -> None:
        """A window was closed and stored just now."""
        self._live.append((key, now_s))

    def asked(self, keys: Sequence[Key], now_s: float) -> None:
        """The collector asks for these: what flies is due at once, the others come before the backlog."""
        wanted = set(keys)
        for flight in self._in_flight:
            if wanted & set(flight.parcel.keys):
                flight.due_s = now_s
        self._aside -= wanted
        self._asked.extend(keys)

    def next(self, now_s: float, oldest: Callable[[int], Sequence[Key]]) -> Parcel | None:
        """Choose what to send now, or nothing; it is in flight from here on.

        `oldest(count)` gives the keys that the outbox has held longest.
        """
        parcel = self._due(now_s)
        if parcel is None and len(self._in_flight) < self._limit:
            parcel = self._fresh(now_s, oldest)
        if parcel is None or not parcel.keys:
            return None
        self._sent += 1
        self._in_flight.append(_Flight(now_s + self._patience_s(parcel.attempt), self._sent, parcel))
        return parcel

    def acknowledged(self, ranges: Sequence[AckRange], now_s: float) -> None:
        """These windows are settled, in flight or not; the collector lives, so the others need not wait long."""
        soonest_s = now_s + self._patience_s(0)
        left = [(flight, _outside(flight.parcel.keys, ranges)) for flight in self._in_flight]
        newest = max((flight.order for flight, keys in left if len(keys) < len(flight.parcel.keys)), default=0)
        for flight, keys in left:
            flight.due_s = min(flight.due_s, soonest_s)
            flight.parcel = replace(flight.parcel, keys=keys, attempt=0)
            flight.is_passed |= flight.order < newest
        self._in_flight = [flight for flight, keys in left if keys]
        self._asked = deque(_outside(self._asked, ranges), MOST_ASKED)
        self._suspects = deque(_outside(self._suspects, ranges))
        self._aside = set(_outside(self._aside, ranges))
        alive = set(_outside([key for key, _ in self._live], ranges))
        self._live = deque((entry for entry in self._live if entry[0] in alive), MAX_WINDOWS)

    def hasten(self, now_s: float) -> None:
        """Everything in flight is due at once: the agent is about to end."""
        for flight in self._in_flight:
            flight.due_s = now_s

    def gone(self, parcel: Parcel) -> None:
        """None of this parcel's windows is held any more."""
        self._in_flight = [flight for flight in self._in_flight if flight.parcel != parcel]

    def too_large(self, parcel: Parcel) -> None:
        """The broker takes no message as large as this one: smaller ones from here on, or without this window."""
        self.gone(parcel)
        if len(parcel.keys) == 1:
            self._aside.update(parcel.keys)
        self._most_windows = max(1, min(self._most_windows, len(parcel.keys) // 2))

    def _due(self, now_s: float) -> Parcel | None:
        """A parcel to send again; one that was passed over too often is taken apart instead."""
        while (flight := next((entry for entry in self._in_flight if entry.due_s <= now_s), None)) is not None:
            self._in_flight.remove(flight)
            old = flight.parcel
            passes = old.passes + 1 if flight.is_passed else 0
            if passes < _MOST_PASSES:
                is_live = set(old.keys) <= set(self._live_keys(now_s))
                return Parcel(old.keys, not is_live, old.attempt + 1, passes)
            if len(old.keys) > 1:
                self._suspects.extend(old.keys)
            else:
                self._aside.update(old.keys)
        return None

    def _fresh(self, now_s: float, oldest: Callable[[int], Sequence[Key]]) -> Parcel:
        most = self._most_windows
        flying = {key for parcel in self.in_flight for key in parcel.keys} | self._aside | set(self._suspects)
        live = tuple(key for key in self._live_keys(now_s) if key not in flying)
        if live:
            return Parcel(live[:most], is_backlog=False)
        if self._suspects:
            return Parcel((self._suspects.popleft(),), is_backlog=True)
        asked = tuple(dict.fromkeys(key for key in self._asked if key not in flying))[:most]
        if asked:
            self._asked = deque((key for key in self._asked if key not in asked), MOST_ASKED)
            return Parcel(asked, is_backlog=True)
        waiting = [key for key in oldest(most + len(flying)) if key not in flying]
        return Parcel(tuple(waiting[:most]), is_backlog=True)

    def _live_keys(self, now_s: float) -> list[Key]:
        return [key for key, closed_s in self._live if now_s - closed_s <= self._live_for_s]

    def _patience_s(self, attempt: int) -> float:
        return doubled(attempt, RESEND_S, RESEND_CAP_S) * float(self._rng.uniform(_LEAST_JITTER, 1))


def _outside(keys: Iterable[Key], ranges: Sequence[AckRange]) -> tuple[Key, ...]:
    return tuple(
        key for key in keys if not any(part.boot == key[0] and part.first <= key[1] <= part.last for part in ranges)
    )
