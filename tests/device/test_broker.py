import pytest
from trap_agent.broker import BrokerAddress, TlsFiles, parse_broker, tls_context
from trap_contract.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://localhost", BrokerAddress("localhost", 1883)),
        ("mqtt://10.0.0.1:2883/", BrokerAddress("10.0.0.1", 2883)),
        ("mqtts://broker.example", BrokerAddress("broker.example", 8883, is_tls=True)),
        ("mqtt://me:s%40crt@[::1]:1884", BrokerAddress("::1", 1884, username="me", password="s@crt")),
    ],
)
def test_a_broker_url_is_read(url, address):
    assert parse_broker(url) == address


@pytest.mark.parametrize(
    "url", ["localhost:1883", "http://x", "mqtt://", "mqtt://x:abc", "mqtt://x:99999", "mqtt://x:0", "mqtt://x/a", ""]
)
def test_anything_else_is_refused(url):
    with pytest.raises(ConfigError, match=r"^broker: not"):
        parse_broker(url)


def test_a_password_is_never_shown():
    address = parse_broker("mqtt://me:secret@host")
    assert "secret" not in f"{address} {address!r}"
    with pytest.raises(ConfigError) as caught:
        parse_broker("mqtt://me:secret@host/path")
    assert "secret" not in str(caught.value)


def test_a_certificate_that_can_not_be_read_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        tls_context(TlsFiles(ca=tmp_path / "ca.pem"))
    with pytest.raises(ConfigError, match="missing"):
        tls_context(TlsFiles(ca=tmp_path / "missing"))
