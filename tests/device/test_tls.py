"""Certificates on both sides, with a real mosquitto."""

import subprocess
from pathlib import Path

import pytest
from brokers import running_broker
from trap_agent.session import Session
from trap_contract.broker import BrokerAddress, Tls
from trap_contract.errors import DeliveryError
from trap_deploy.ports import free_port
from waiting import until

from device.collectors import tiny_collector
from device.samples import draft
from device.test_outbox import ADDRESS, BOOT, opened
from device.test_publisher import BIRTH, Trap

LISTENER = """
listener {port} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/server.pem
keyfile {folder}/server.key
require_certificate true
"""


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_authority(folder: Path, name: str) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(folder, "req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")


def sign(folder: Path, name: str, extension: str, days: int = 2) -> None:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    (folder / "extension").write_text(extension)
    openssl(
        folder,
        *("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", "-days", str(days)),
        *("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extension"),
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_authority(folder, "ca")
    make_authority(folder, "stranger")
    sign(folder, "server", "subjectAltName=IP:127.0.0.1")
    sign(folder, "trap", "extendedKeyUsage=clientAuth")
    sign(folder, "old-trap", "extendedKeyUsage=clientAuth", days=-1)
    sign(folder, "old-server", "subjectAltName=IP:127.0.0.1", days=-1)
    return folder


@pytest.fixture
def tls_broker(tmp_path, certificates):
    """A plain port for the collector and, as the second value, the URL of a port with mutual TLS."""
    port = free_port()
    with running_broker(tmp_path, extra=LISTENER.format(port=port, folder=certificates)) as broker:
        yield broker, f"mqtts://127.0.0.1:{port}"


def test_windows_are_delivered_with_certificates_on_both_sides(tmp_path, tls_broker, certificates):
    broker, url = tls_broker
    tls = Tls(certificates / "ca.pem", certificates / "trap.pem", certificates / "trap.key")
    with tiny_collector(broker.port) as collector, opened(tmp_path) as outbox:
        for _ in range(200):
            outbox.store(draft())
        trap = Trap(outbox, url, tls.context())
        trap.publisher.start()
        until(lambda: outbox.held == 0, "all acknowledged")
        assert trap.finish() == 0
        assert collector.seqs(BOOT) == list(range(1, 201))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("stranger.pem", "trap.pem", "trap.key"), "certificate verify failed"),
        (("ca.pem", "stranger.pem", "stranger.key"), "connection lost|can't be reached"),
        (("ca.pem", None, None), "connection lost|can't be reached"),
        (("ca.pem", "old-trap.pem", "old-trap.key"), "connection lost|can't be reached"),
    ],
)
def test_a_certificate_that_is_not_trusted_ends_the_connection(tls_broker, certificates, files, message):
    _, url = tls_broker
    address = BrokerAddress.parse(url, Tls(*(name and certificates / name for name in files)))
    session = Session(address, ADDRESS, address.tls_context(), BIRTH)
    with pytest.raises(DeliveryError, match=message):
        session.open()
    session.close()


def test_a_broker_whose_certificate_has_expired_is_named_with_the_reason(tmp_path, certificates):
    port = free_port()
    listener = LISTENER.format(port=port, folder=certificates).replace("server.", "old-server.")
    address = BrokerAddress.parse(f"mqtts://127.0.0.1:{port}", Tls(certificates / "ca.pem"))
    with running_broker(tmp_path, extra=listener):
        session = Session(address, ADDRESS, address.tls_context(), BIRTH)
        with pytest.raises(DeliveryError, match="certificate has expired"):
            session.open()
        session.close()
