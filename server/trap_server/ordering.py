"""A command from the command line: asked for, and its answer waited for."""

import time
from typing import Final

from trap_contract.topics import TrapAddress

from trap_server import orders, queries
from trap_server.database import open_database
from trap_server.orders import Order, OrderName

_ENDED: Final = frozenset({"done", "failed", "expired", "refused"})
_EVERY_S: Final = 0.5


def send_and_wait(database: str, address: TrapAddress, name: OrderName, *, ttl_s: int, wait_s: float) -> Order:
    """Keep a command for ingest to send, and look for its answer for so long; how it stands then.

    Raises ConfigError for a trap that nothing ever came from, and when too many commands wait.
    """
    engine, until_s = open_database(database), time.monotonic() + wait_s
    with engine.begin() as connection:
        queries.known_trap(connection, address)
        number = orders.request(connection, address, name, now_ms=_now_ms(), ttl_s=ttl_s)
    while True:
        with engine.begin() as connection:
            order = orders.order(connection, address, number, _now_ms())
        assert order is not None
        if order.state in _ENDED or time.monotonic() >= until_s:
            return order
        time.sleep(_EVERY_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
