"""How serving ends."""

import signal
import socket
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
import uvicorn
from trap_server.app import build_app
from trap_server.site import _Server


@pytest.fixture(autouse=True)
def _deaf() -> Iterator[None]:
    """Uvicorn raises each signal again at its end."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_signal_that_comes_before_serving_ends_it_and_is_passed_on(engine: sa.Engine):
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Server(uvicorn.Config(build_app(engine, engine), log_level="warning"), lambda: told.append("end"))
        server.handle_exit(signal.SIGTERM, None)
        server.run(sockets=[listener])
    assert told == ["end"]
