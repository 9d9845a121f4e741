"""One-use join tokens: a trap shows one with its signing request, and gets the certificate it was promised. Pure."""

import hashlib
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.x509.oid import NameOID
from trap_contract.errors import ConfigError
from trap_contract.topics import TrapAddress

from trap_server.fleet.certificates import Signer, sign_certificate, trap_name
from trap_server.fleet.registry import Issued, JoinToken, Registry


def token_digest(token: str) -> str:
    """What is kept of a token: it has 256 random bits, so SHA-256 without a salt tells nothing."""
    return hashlib.sha256(token.encode()).hexdigest()


def promise(registry: Registry, address: TrapAddress, token: str, expires: datetime, days: int) -> Registry:
    """Remember that whoever shows `token` before `expires` gets a certificate of so many days for this trap."""
    new = JoinToken(digest=token_digest(token), tenant=address.tenant, trap=address.trap, expires=expires, days=days)
    return registry.with_token(new)


def redeem(
    registry: Registry, signer: Signer, token: str, request_pem: bytes, now: datetime
) -> tuple[Registry, x509.Certificate]:
    """Sign the request of a trap that shows its token; the token is used up.

    Raises ConfigError for a token that is unknown, used or expired, and for a request that is malformed, not signed by
    its own key, of another kind of key or for another name; then the token can still be used.
    """
    promised = _find(registry, token, now)
    key = read_request(request_pem, trap_name(promised.address))
    certificate = sign_certificate(
        signer, "client", trap_name(promised.address), key, now + timedelta(days=promised.days)
    )
    used = registry.with_token(promised.model_copy(update={"used": now}))
    return used.with_issued(issued_trap(certificate, promised.address)), certificate


def issued_trap(certificate: x509.Certificate, address: TrapAddress) -> Issued:
    """The registry's line for a trap's certificate."""
    return Issued(
        serial=f"{certificate.serial_number:x}",
        kind="trap",
        name=trap_name(address),
        not_after=certificate.not_valid_after_utc,
    )


def read_request(pem: bytes, name: str) -> EllipticCurvePublicKey:
    """The P-256 key of a signing request (PKCS #10) whose one common name is `name`; nothing else is taken from it.

    Raises ConfigError.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        key = request.public_key()
        is_own = request.is_signature_valid
        names = [attribute.value for attribute in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except Exception as error:  # whatever bytes came: the parser has no one error for all
        raise ConfigError(f"the signing request is malformed: {type(error).__name__}: send PKCS #10 in PEM") from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ConfigError("the signing request has a key that is not ECDSA P-256: make one on that curve")
    if not is_own:
        raise ConfigError("the signing request is not signed by its own key: make it anew")
    if names != [name]:
        raise ConfigError(f"the signing request is for {names!r}, the token for {name!r}: ask for that common name")
    return key


def _find(registry: Registry, token: str, now: datetime) -> JoinToken:
    digest = token_digest(token)
    found = next((one for one in registry.tokens if one.digest == digest), None)
    if found is None:
        raise ConfigError("the join token is not known: make one with trap-fleet enrol --token")
    if (status := found.status(now)) != "open":
        raise ConfigError(
            f"the join token of {trap_name(found.address)} is {status}: "
            + ("if the trap did not use it, revoke the trap" if status == "used" else "make a new one")
        )
    return found
