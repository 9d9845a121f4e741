"""Broker addresses."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import ConfigError
from trap_server.broker import BrokerAddress, Tls


def test_an_address_has_a_default_port_and_decoded_credentials():
    address = BrokerAddress.parse("mqtt://ann:p%40ss@broker.example", Tls())
    assert (address.host, address.port, address.user, address.password) == ("broker.example", 1883, "ann", "p@ss")
    assert BrokerAddress.parse("mqtts://[::1]", Tls()).port == 8883


def test_its_text_never_shows_the_password():
    address = BrokerAddress.parse("mqtt://ann:secret@broker.example:77", Tls())
    assert str(address) == "mqtt://broker.example:77"
    assert "secret" not in repr(address)


@pytest.mark.parametrize(
    "url",
    ["localhost:1883", "http://x", "mqtt://", "mqtt://x:0", "mqtt://x:99999", "mqtt://x:a", "mqtt://x/y", "mqtt://[x"],
)
def test_a_malformed_address_says_how_to_write_it(url: str):
    with pytest.raises(ConfigError, match="write mqtt://"):
        BrokerAddress.parse(url, Tls())


def test_a_malformed_address_does_not_repeat_the_password():
    with pytest.raises(ConfigError) as caught:
        BrokerAddress.parse("mqtt://ann:secret@x:99999", Tls())
    assert "secret" not in str(caught.value)


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
