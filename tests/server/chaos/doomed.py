"""`trap-server ingest` that kills itself, when a signal has armed it, at one exact point of its next batch."""

import os
import signal
import time
from collections.abc import Iterable

from trap_server import ingest
from trap_server.commands import main
from trap_server.inbox import Token
from trap_server.sorting import Batch
from trap_server.store import Committed, Store
from trap_server.subscriber import Subscriber

POINTS = {"before_commit": signal.SIGUSR1, "after_commit": signal.SIGUSR2, "after_ack": signal.SIGALRM}
_armed: set[int] = set()


def _die_if(point: str) -> None:
    if POINTS[point] in _armed:
        os.kill(os.getpid(), signal.SIGKILL)


class DoomedStore(Store):
    def commit(self, batch: Batch) -> Committed:
        _die_if("before_commit")
        committed = super().commit(batch)
        _die_if("after_commit")
        return committed


class DoomedSubscriber(Subscriber):
    def acknowledge(self, tokens: Iterable[Token]) -> int:
        stale = super().acknowledge(tokens)
        if POINTS["after_ack"] in _armed:
            time.sleep(0.05)  # the PUBACKs leave on another thread
            _die_if("after_ack")
        return stale


if __name__ == "__main__":
    for number in POINTS.values():
        signal.signal(number, lambda armed, _frame: _armed.add(armed))
    ingest.Store, ingest.Subscriber = DoomedStore, DoomedSubscriber
    main()
