"""What a service manager hears, at a real datagram socket."""

import secrets
import socket
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trap_agent.systemd import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """An address as systemd gives it, and the socket behind it."""
    name = f"zancudo-{secrets.token_hex(8)}"
    address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(address if request.param == "path" else f"\0{name}")
        listener.setblocking(False)
        yield address, listener


def heard(listener: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(listener.recv(4096).decode())
        except BlockingIOError:
            return found


def test_it_is_told_what_happens_in_order(manager):
    address, listener = manager
    service = ServiceManager(address)
    service.ready()
    service.status("counting,\n3 windows held")
    service.stopping()
    assert heard(listener) == ["READY=1", "STATUS=counting, 3 windows held", "STOPPING=1"]


def test_reloading_says_since_when(manager):
    address, listener = manager
    ServiceManager(address).reloading()
    (message,) = heard(listener)
    assert message.splitlines()[0] == "RELOADING=1"
    assert message.splitlines()[1].removeprefix("MONOTONIC_USEC=").isdecimal()


def test_the_watchdog_is_fed_at_most_four_times_in_its_limit(manager):
    address, listener = manager
    tenths = iter(range(100))
    service = ServiceManager(address, 8.0, lambda: next(tenths) / 10)
    for _ in range(100):
        service.alive()
    assert heard(listener) == ["WATCHDOG=1"] * 5


def test_who_asks_for_no_sign_of_life_gets_none(manager):
    address, listener = manager
    ServiceManager(address).alive()
    assert heard(listener) == []


def test_without_a_manager_nothing_happens():
    ServiceManager().ready()


def test_a_manager_that_is_gone_is_said_once_and_harms_nobody(tmp_path):
    with capture_logs() as logs:
        service = ServiceManager(str(tmp_path / "nobody"))
        service.ready()
        service.stopping()
    assert len(logs) == 1


@pytest.mark.parametrize(
    ("environment", "address", "watchdog_s"),
    [
        ({}, "", None),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, "/run/n", 30.0),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, "@n", None),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "500000"}, "@n", 0.5),
        ({"NOTIFY_SOCKET": "vsock:2:9999", "WATCHDOG_USEC": "0"}, "", None),
    ],
)
def test_the_environment_says_where_it_listens_and_how_long_it_waits(environment, address, watchdog_s):
    service = ServiceManager.from_environment(environment, 7)
    assert (service.address, service.watchdog_s) == (address, watchdog_s)


@given(st.dictionaries(st.sampled_from(["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]), st.text(max_size=8)))
def test_whatever_the_environment_holds_is_read(environment):
    service = ServiceManager.from_environment(environment, 7)
    assert service.watchdog_s is None or service.watchdog_s > 0
