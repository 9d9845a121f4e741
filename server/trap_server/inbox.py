"""Between the network thread and the writer: messages that wait, and who is still owed a PUBACK."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from trap_server.sorting import Arrival


@dataclass(frozen=True, slots=True)
class Token:
    """The right to acknowledge one message: worthless on any other connection than its own."""

    generation: int
    mid: int
    qos: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message and its token."""

    arrival: Arrival
    token: Token


class Inbox:
    """Bounded queue of one connection at a time; thread-safe.

    Packet numbers start again with every connection. A PUBACK for a message of the last one would acknowledge
    another message of this one, not yet stored, so a new generation empties the queue (the broker sends again
    what was not acknowledged) and `settle` refuses its tokens.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: deque[Delivery] = deque()
        self._unsettled: dict[int, float] = {}
        self._generation = 0

    def begin_generation(self) -> int:
        """Forget the last connection; returns the number of the new one."""
        with self._changed:
            self._generation += 1
            self._waiting.clear()
            self._unsettled.clear()
            return self._generation

    def put(self, delivery: Delivery, now_s: float) -> bool:
        """Queue a message. False when the inbox is full: left unacknowledged, it comes again."""
        with self._changed:
            token = delivery.token
            if token.qos and token.generation == self._generation:
                self._unsettled.setdefault(token.mid, now_s)
            if len(self._waiting) >= self._limit:
                return False
            self._waiting.append(delivery)
            self._changed.notify()
            return True

    def take(self, limit: int, first_s: float, more_s: float) -> list[Delivery]:
        """Wait `first_s` for a first message, then `more_s` for up to `limit` of them, in order of arrival."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, first_s):
                return []
            self._changed.wait_for(lambda: len(self._waiting) >= limit, more_s)
            return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def settle(self, token: Token, acknowledge: Callable[[int, int], object]) -> bool:
        """Acknowledge under the lock, so that no connection can change meanwhile. False for a stale token."""
        with self._changed:
            if token.generation != self._generation:
                return False
            acknowledge(token.mid, token.qos)
            self._unsettled.pop(token.mid, None)
            return True

    def oldest_age_s(self, now_s: float) -> float:
        """How long the oldest message of this connection has waited for its PUBACK; 0 when none does."""
        with self._changed:
            return now_s - min(self._unsettled.values(), default=now_s)
