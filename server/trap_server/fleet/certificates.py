"""What the fleet's authority signs (X.509, RFC 5280; ECDSA P-256): pure, time comes as an argument.

A trap's common name is TENANT/TRAP: mosquitto takes it as the user name, so that one static rule with %u binds both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as _generate
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from trap_contract.errors import ConfigError
from trap_contract.topics import TrapAddress

Use = Literal["broker", "client"]
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Certificates are valid from here on: a Pi without a battery may boot at 1970 and must still trust its broker."""
_MOST_COMMON_NAME = 64  # ub-common-name, RFC 5280
_SKEW = timedelta(days=1)
_PURPOSE = {"broker": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True, slots=True)
class Signer:
    """The authority's certificate with its unlocked key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey


def new_key() -> EllipticCurvePrivateKey:
    """A new P-256 key."""
    return _generate(SECP256R1())


def key_pem(key: EllipticCurvePrivateKey) -> bytes:
    """A private key without a password: for a file that its owner alone may read."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """PEM text."""
    return certificate.public_bytes(Encoding.PEM)


def trap_name(address: TrapAddress) -> str:
    """The common name of a trap's certificate, which is its user name and client id on the broker.

    Raises ConfigError when both names together are longer than a common name may be.
    """
    name = f"{address.tenant}/{address.trap}"
    if len(name) > _MOST_COMMON_NAME:
        raise ConfigError(
            f"{name}: tenant and trap have {len(name) - 1} letters together, a certificate holds "
            f"{_MOST_COMMON_NAME - 1}: choose a shorter one"
        )
    return name


def new_authority(name: str, now: datetime, days: int) -> Signer:
    """A self-signed authority that may sign end certificates only."""
    key = new_key()
    subject = _name(name)
    builder = _builder(subject, subject, key.public_key(), now + timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Signer(builder.sign(key, SHA256()), key)


def sign_certificate(
    signer: Signer,
    use: Use,
    name: str,
    public_key: EllipticCurvePublicKey,
    not_after: datetime,
    *,
    hosts: Iterable[str] = (),
) -> x509.Certificate:
    """A certificate for one use, never valid longer than the authority; `hosts` are a broker's names or addresses."""
    authority = signer.certificate
    end = min(not_after, authority.not_valid_after_utc)
    builder = _builder(_name(name), authority.subject, public_key, end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([_PURPOSE[use]]), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    if alternatives := [_alternative(host) for host in hosts]:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(signer.key, SHA256())


def sign_revocations(
    signer: Signer, revoked: Iterable[tuple[int, datetime]], number: int, now: datetime, not_after: datetime
) -> bytes:
    """PEM text of the list of (serial, since) that are revoked, valid until `not_after` or the authority's end."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(now - _SKEW)
        .next_update(min(not_after, signer.certificate.not_valid_after_utc))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
    )
    for serial, since in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(signer.key, SHA256()).public_bytes(Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePublicKey, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGINNING)
        .not_valid_after(not_after)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(host: str) -> x509.GeneralName:
    address = as_address(host)
    return x509.DNSName(host) if address is None else x509.IPAddress(address)


def as_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is, None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
