"""One-use join tokens and the requests that come with them."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import ConfigError
from trap_contract.topics import TrapAddress
from trap_server.fleet.certificates import new_authority, new_key
from trap_server.fleet.enrolment import promise, read_request, redeem, token_digest
from trap_server.fleet.registry import Registry

from server.fleets import LOCK, now

NOW = now()
TOKEN = "a-token-of-many-letters"
ADDRESS = TrapAddress("demo", "a")
SIGNER = new_authority("test", NOW, 3650)
EMPTY = Registry(hosts=("h",), port=1, reload="", broker_user=None, lock=LOCK, crl_not_after=NOW)
PROMISED = promise(EMPTY, ADDRESS, TOKEN, NOW + timedelta(hours=1), days=30)


def make_request(*names: str, key=None) -> bytes:
    key = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    hostile = x509.BasicConstraints(ca=True, path_length=None)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(hostile, critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def test_a_token_buys_one_certificate_for_its_trap_and_the_key_in_the_request():
    key = new_key()
    registry, certificate = redeem(PROMISED, SIGNER, TOKEN, make_request("demo/a", key=key), NOW)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=demo/a"
    assert certificate.not_valid_after_utc == NOW + timedelta(days=30)
    certificate.verify_directly_issued_by(SIGNER.certificate)
    assert [one.serial for one in registry.of("trap", "demo/a")] == [f"{certificate.serial_number:x}"]


def test_what_a_request_asks_beyond_its_name_and_key_is_not_granted():
    _, certificate = redeem(PROMISED, SIGNER, TOKEN, make_request("demo/a"), NOW)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_token_is_refused_the_second_time():
    registry, _ = redeem(PROMISED, SIGNER, TOKEN, make_request("demo/a"), NOW)
    with pytest.raises(ConfigError, match="is used"):
        redeem(registry, SIGNER, TOKEN, make_request("demo/a"), NOW)


def test_a_token_is_refused_from_its_expiry_on():
    with pytest.raises(ConfigError, match="is expired"):
        redeem(PROMISED, SIGNER, TOKEN, make_request("demo/a"), NOW + timedelta(hours=1))


@pytest.mark.parametrize("token", ["", TOKEN + "x", TOKEN[:-1], token_digest(TOKEN)])
def test_a_token_that_was_not_given_is_refused(token):
    with pytest.raises(ConfigError, match="not known"):
        redeem(PROMISED, SIGNER, token, make_request("demo/a"), NOW)


@pytest.mark.parametrize(
    "names", [("demo/b",), ("other/a",), ("demo/a", "demo/b"), ("demo/a", "demo/a"), (), ("DEMO/A",)]
)
def test_a_request_for_another_name_is_refused_and_costs_no_token(names):
    with pytest.raises(ConfigError, match="the token for 'demo/a'"):
        redeem(PROMISED, SIGNER, TOKEN, make_request(*names), NOW)


def test_a_request_with_a_key_on_another_curve_is_refused():
    with pytest.raises(ConfigError, match="P-256"):
        read_request(make_request("demo/a", key=generate_private_key(SECP384R1())), "demo/a")


def test_a_request_that_was_altered_is_refused():
    request = x509.load_pem_x509_csr(make_request("demo/a"))
    der = request.public_bytes(Encoding.DER).replace(b"demo/a", b"demo/c")
    altered = x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)
    with pytest.raises(ConfigError, match="own key"):
        read_request(altered, "demo/c")


@given(st.binary(max_size=400))
def test_any_bytes_for_a_request_are_one_error(junk):
    for pem in (junk, make_request("demo/a")[:100] + junk, b"-----BEGIN CERTIFICATE REQUEST-----\n" + junk):
        with pytest.raises(ConfigError):
            read_request(pem, "demo/a")


def test_the_registry_does_not_hold_the_token():
    assert TOKEN not in PROMISED.model_dump_json()
