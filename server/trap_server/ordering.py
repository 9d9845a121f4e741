"""A command from the command line: asked for, and its answer waited for."""

import json
import time
from collections.abc import Sequence
from typing import Final

from trap_contract.errors import ConfigError
from trap_contract.topics import TrapAddress

from trap_server import orders, queries
from trap_server.database import open_database
from trap_server.orders import Order, Value

_ENDED: Final = frozenset({"done", "failed", "expired", "refused"})
_EVERY_S: Final = 0.5


def read_arguments(settings: Sequence[str]) -> dict[str, Value]:
    """`window=30` as it is written: a number, true, false, or else text; nothing takes a setting back.

    Raises ConfigError for what has no equals sign.
    """
    arguments: dict[str, Value] = {}
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign:
            raise ConfigError(f"{setting!r} is not NAME=VALUE, as in window=30")
        arguments[name] = _value(text)
    return arguments


def _value(text: str) -> Value:
    try:
        value = json.loads(text)
    except ValueError:
        return text or None
    return value if isinstance(value, int | float | bool) else text


def send_and_wait(
    database: str, address: TrapAddress, name: str, arguments: dict[str, Value], *, ttl_s: int, wait_s: float
) -> Order:
    """Keep a command for ingest to send, and look for its answer for so long; how it stands then.

    Raises ConfigError for a trap that nothing ever came from, and for a command that no trap would take.
    """
    engine, until_s = open_database(database), time.monotonic() + wait_s
    with engine.begin() as connection:
        if queries.trap_record(connection, address) is None:
            raise ConfigError(f"nothing has come from a trap {address.trap!r} of tenant {address.tenant!r}")
        number = orders.request(connection, address, name, arguments, now_ms=_now_ms(), ttl_s=ttl_s)
    while True:
        with engine.begin() as connection:
            order = orders.order(connection, address, number, _now_ms())
        assert order is not None
        if order.state in _ENDED or time.monotonic() >= until_s:
            return order
        time.sleep(_EVERY_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
