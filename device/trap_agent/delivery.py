"""What to send next, what is on its way, and what an acknowledgement settles: the protocol without the network.

A parcel is one message of up to 60 windows. Until the collector acknowledges all of it, it is in flight and is sent
again after 20 s, then after twice as long each time, up to 5 min. A lost connection puts everything back: the new one
begins with the windows closed lately (live), then the backlog, oldest first.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from trap_contract.backoff import doubled
from trap_contract.messages import MAX_WINDOWS, AckRange

from trap_agent.outbox import Key

MAX_IN_FLIGHT = 8
RESEND_S = 20.0
RESEND_CAP_S = 300.0

_LEAST_JITTER = 0.8


@dataclass(frozen=True, slots=True)
class Parcel:
    """The keys of one message, and how often it was sent before."""

    keys: tuple[Key, ...]
    is_backlog: bool
    attempt: int = 0


class Delivery:
    """State of the delivery of one outbox over one connection after another."""

    def __init__(self, live_for_s: float, rng: np.random.Generator) -> None:
        self._live_for_s = live_for_s
        self._rng = rng
        self._limit = MAX_IN_FLIGHT
        self._live: deque[tuple[Key, float]] = deque(maxlen=MAX_WINDOWS)
        self._in_flight: list[tuple[float, Parcel]] = []

    @property
    def in_flight(self) -> tuple[Parcel, ...]:
        """Parcels sent over this connection and not acknowledged in full."""
        return tuple(parcel for _, parcel in self._in_flight)

    def connected(self, most_in_flight: int = MAX_IN_FLIGHT) -> None:
        """A new connection: nothing is on its way."""
        self._in_flight.clear()
        self._limit = max(1, min(most_in_flight, MAX_IN_FLIGHT))

    def closed(self, key: Key, now_s: float) -> None:
        """A window was closed and stored just now."""
        self._live.append((key, now_s))

    def next(self, now_s: float, oldest: Callable[[int], Sequence[Key]]) -> Parcel | None:
        """Choose what to send now, or nothing; it is in flight from here on.

        `oldest(count)` gives the keys that the outbox has held longest.
        """
        due = next((entry for entry in self._in_flight if entry[0] <= now_s), None)
        if due is not None:
            self._in_flight.remove(due)
            keys = due[1].keys
            parcel = Parcel(keys, is_backlog=not set(keys) <= set(self._live_keys(now_s)), attempt=due[1].attempt + 1)
        elif len(self._in_flight) >= self._limit:
            return None
        else:
            parcel = self._fresh(now_s, oldest)
        if parcel.keys:
            self._in_flight.append((now_s + self._patience_s(parcel.attempt), parcel))
            return parcel
        return None

    def acknowledged(self, ranges: Sequence[AckRange], now_s: float) -> None:
        """These windows are settled, in flight or not; the collector lives, so the others need not wait long."""
        soonest_s = now_s + self._patience_s(0)
        remains = [(min(due_s, soonest_s), old, _outside(old.keys, ranges)) for due_s, old in self._in_flight]
        self._in_flight = [(due_s, Parcel(keys, old.is_backlog)) for due_s, old, keys in remains if keys]
        alive = set(_outside([key for key, _ in self._live], ranges))
        self._live = deque((entry for entry in self._live if entry[0] in alive), MAX_WINDOWS)

    def hasten(self, now_s: float) -> None:
        """Everything in flight is due at once: the agent is about to end."""
        self._in_flight = [(now_s, parcel) for _, parcel in self._in_flight]

    def gone(self, parcel: Parcel) -> None:
        """None of this parcel's windows is held any more."""
        self._in_flight = [entry for entry in self._in_flight if entry[1] != parcel]

    def _fresh(self, now_s: float, oldest: Callable[[int], Sequence[Key]]) -> Parcel:
        flying = {key for parcel in self.in_flight for key in parcel.keys}
        live = tuple(key for key in self._live_keys(now_s) if key not in flying)
        if live:
            return Parcel(live, is_backlog=False)
        waiting = [key for key in oldest(MAX_WINDOWS + len(flying)) if key not in flying]
        return Parcel(tuple(waiting[:MAX_WINDOWS]), is_backlog=True)

    def _live_keys(self, now_s: float) -> list[Key]:
        return [key for key, closed_s in self._live if now_s - closed_s <= self._live_for_s]

    def _patience_s(self, attempt: int) -> float:
        return doubled(attempt, RESEND_S, RESEND_CAP_S) * float(self._rng.uniform(_LEAST_JITTER, 1))


def _outside(keys: Sequence[Key], ranges: Sequence[AckRange]) -> tuple[Key, ...]:
    return tuple(
        key for key in keys if not any(part.boot == key[0] and part.first <= key[1] <= part.last for part in ranges)
    )
