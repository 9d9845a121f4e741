"""Broker addresses."""

import contextlib
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.broker import BrokerAddress, Tls
from trap_contract.errors import ConfigError


def test_an_address_has_a_default_port_and_decoded_credentials():
    address = BrokerAddress.parse("mqtt://ann:p%40ss@broker.example", Tls())
    assert address == BrokerAddress("broker.example", 1883, "ann", "p@ss")
    assert BrokerAddress.parse("mqtts://[::1]/", Tls()) == BrokerAddress("::1", 8883, tls=Tls())
    assert BrokerAddress.parse("mqtt://10.0.0.1:2883", Tls()).port == 2883


def test_its_text_never_shows_the_password():
    address = BrokerAddress.parse("mqtt://ann:secret@broker.example:77", Tls())
    assert str(address) == "mqtt://ann@broker.example:77"
    assert "secret" not in repr(address)
    assert str(BrokerAddress("::1", 8883, tls=Tls())) == "mqtts://[::1]:8883"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:1883",
        "http://x",
        "mqtt://",
        "mqtt://x:0",
        "mqtt://x:99999",
        "mqtt://x:a",
        "mqtt://x/y",
        "mqtt://[x",
    ],
)
def test_a_malformed_address_says_how_to_write_it(url: str):
    with pytest.raises(ConfigError, match="write mqtt://"):
        BrokerAddress.parse(url, Tls())


@pytest.mark.parametrize("url", ["mqtt://ann:secret@x:99999", "mqtt://ann:secret@x/y", "mqtt://ann:secret/@x"])
def test_a_malformed_address_does_not_repeat_the_password(url: str):
    with pytest.raises(ConfigError) as caught:
        BrokerAddress.parse(url, Tls())
    assert "secret" not in str(caught.value)


def test_a_plain_address_has_no_tls_and_a_secure_one_checks_the_name_of_the_broker():
    assert BrokerAddress.parse("mqtt://x", Tls()).tls_context() is None
    context = BrokerAddress.parse("mqtts://x", Tls()).tls_context()
    assert context is not None
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_a_file_that_is_not_a_certificate_is_named(tmp_path: Path):
    for name in ("ca.pem", "cert.pem", "cert.key"):
        (tmp_path / name).write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"ca\.pem\) can't be used"):
        Tls(ca=tmp_path / "ca.pem").context()
    with pytest.raises(ConfigError, match=r"cert\.key\) can't be used"):
        Tls(cert=tmp_path / "cert.pem", key=tmp_path / "cert.key").context()


def test_certificates_need_tls_each_other_and_to_exist(tmp_path: Path):
    file = tmp_path / "x.pem"
    file.touch()
    with pytest.raises(ConfigError, match="mqtts://"):
        BrokerAddress.parse("mqtt://x", Tls(ca=file))
    with pytest.raises(ConfigError, match="belong together"):
        BrokerAddress.parse("mqtts://x", Tls(cert=file))
    with pytest.raises(ConfigError, match=r"missing\.pem: no such file"):
        BrokerAddress.parse("mqtts://x", Tls(ca=tmp_path / "missing.pem"))
    assert BrokerAddress.parse("mqtts://x", Tls(ca=file)).tls == Tls(ca=file)


@given(st.text())
def test_any_text_is_an_address_or_a_config_error(text: str):
    with contextlib.suppress(ConfigError):
        BrokerAddress.parse(text, Tls())
