"""Between the network thread and the writer: messages that wait, and who is still owed a PUBACK."""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trap_server.sorting import Arrival

RECEIVE_MAXIMUM = 1000  # twice a batch: the broker sends on while a batch is being committed
WAITING_BYTES = 8 * 2**20  # replayed windows come 60 in a message, and a writer is seconds behind them, not a minute


class Token(NamedTuple):
    """The right to acknowledge one message: worthless on any other connection than its own."""

    generation: int
    mid: int
    qos: int


class Delivery(NamedTuple):
    """A message and its token."""

    arrival: Arrival
    token: Token


class Inbox:
    """Bounded queue of one connection at a time; thread-safe.

    Packet numbers start again with every connection. A PUBACK for a message of the last one would acknowledge
    another message of this one, not yet stored, so a new generation empties the queue (the broker sends again
    what was not acknowledged) and `settle` refuses its tokens.
    """

    def __init__(self, limit: int = 2 * RECEIVE_MAXIMUM, most_bytes: int = WAITING_BYTES) -> None:
        self._limit = limit
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self._waiting: deque[Delivery] = deque()
        self._waiting_bytes = 0
        self._unsettled: dict[int, float] = {}
        self._generation = 0

    def begin_generation(self) -> int:
        """Forget the last connection; returns the number of the new one."""
        with self._changed:
            self._generation += 1
            self._waiting.clear()
            self._waiting_bytes = 0
            self._unsettled.clear()
            return self._generation

    def put(self, deliveries: Sequence[Delivery], now_s: float) -> bool:
        """Queue messages. False where there is no room: they are owed from now on, and are to be put again."""
        with self._changed:
            for _, token in deliveries:
                if token.qos and token.generation == self._generation:
                    self._unsettled.setdefault(token.mid, now_s)
            if len(self._waiting) >= self._limit or self._waiting_bytes >= self._most_bytes:
                return False
            self._waiting.extend(deliveries)
            self._waiting_bytes += sum(len(arrival.payload) for arrival, _ in deliveries)
            self._changed.notify()
            return True

    def take(self, limit: int, most_bytes: int, first_s: float, more_s: float) -> list[Delivery]:
        """Wait `first_s` for a first message, then `more_s` for more, in order of arrival.

        Up to `limit` of them, and no more than reach `most_bytes` together.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, first_s):
                return []
            self._changed.wait_for(lambda: len(self._waiting) >= limit or self._waiting_bytes >= most_bytes, more_s)
            taken: list[Delivery] = []
            while self._waiting and len(taken) < limit and most_bytes > 0:
                taken.append(self._waiting.popleft())
                most_bytes -= len(taken[-1].arrival.payload)
            self._waiting_bytes -= sum(len(one.arrival.payload) for one in taken)
            return taken

    def settle(self, tokens: Iterable[Token]) -> list[Token]:
        """Those of this connection: no longer owed, and to be acknowledged; the others are worthless."""
        with self._changed:
            good = [token for token in tokens if token.generation == self._generation]
            for token in good:
                self._unsettled.pop(token.mid, None)
            return good

    def is_empty(self) -> bool:
        """Whether nothing waits."""
        with self._changed:
            return not self._waiting

    def oldest_age_s(self, now_s: float) -> float:
        """How long the oldest message of this connection has waited for its PUBACK; 0 when none does."""
        with self._changed:
            return now_s - min(self._unsettled.values(), default=now_s)
