import socket
from pathlib import Path

import pytest
from trap_contract.errors import ConfigError
from trap_deploy import ports
from trap_deploy.ports import free_port

LENT = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_no_port_is_given_twice_though_nobody_has_taken_it_yet():
    given = [free_port() for _ in range(200)]
    assert len(set(given)) == 200


def test_a_port_that_somebody_listens_on_is_not_given(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_PORTS", range(port, port + 1))
        with pytest.raises(ConfigError, match=f"no port from {port} to {port} is free on 127.0.0.1"):
            free_port()


def test_ports_are_below_those_that_linux_lends_to_outgoing_connections():
    assert free_port() < int(LENT.read_text().split()[0])
