"""What is done to one trap of a fleet: enrol, rotate, revoke; and the files that go onto its card."""

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import segno
from cryptography import x509
from trap_contract.errors import ConfigError
from trap_contract.topics import TrapAddress

from trap_server.fleet.authority import Fleet
from trap_server.fleet.certificates import Signer, certificate_pem, key_pem, new_key, sign_certificate, trap_name
from trap_server.fleet.enrolment import issued_trap, promise, redeem
from trap_server.fleet.private_files import make_folder, write_private
from trap_server.fleet.registry import Issued, refuse_enrolled

_SETTINGS = """\
# {name}, written by trap-fleet. Keep these files together; {key} is this trap's secret.
tenant = "{tenant}"
trap = "{trap}"
broker = "{broker}"
ca = "ca.pem"
cert = "trap.pem"
key = "trap.key"
"""


@dataclass(frozen=True, slots=True)
class Trap:
    """One trap of a fleet whose authority is unlocked."""

    fleet: Fleet
    signer: Signer
    address: TrapAddress

    @property
    def name(self) -> str:
        """Common name, user name and client id."""
        return trap_name(self.address)

    @property
    def card(self) -> Path:
        """The folder of what goes onto its card."""
        return card_folder(self.fleet, self.address)

    def enrol(self, days: int, now: datetime) -> Issued:
        """Make its key and certificate, and put them onto its card. Raises ConfigError when it is enrolled."""
        refuse_enrolled(self.fleet.registry, self.address, self.name, now)
        return self._certify(days, now)

    def rotate(self, days: int, now: datetime) -> Issued:
        """A new key and certificate beside the old ones, which stay good. Raises ConfigError when not enrolled."""
        if not self.fleet.registry.of("trap", self.name):
            raise ConfigError(f"{self.name}: not enrolled: enrol it")
        if self.name in self.fleet.registry.outcasts(now):
            raise ConfigError(f"{self.name}: revoked: enrol it anew")
        self.fleet.save(self.fleet.registry.superseding("trap", self.name))
        return self._certify(days, now)

    def revoke(self, now: datetime, *, only_superseded: bool = False) -> int:
        """Revoke its certificates and withdraw its join tokens, in the broker's list too; how many certificates.

        Raises ConfigError for a trap that has never had any.
        """
        registry = self.fleet.registry
        known = registry.of("trap", self.name)
        if not known and not any(one.address == self.address for one in registry.tokens):
            raise ConfigError(f"{self.name}: not enrolled: trap-fleet list shows who is")
        living = registry.living("trap", self.name, now)
        serials = {one.serial for one in living if one.is_superseded or not only_superseded}
        registry = registry if only_superseded else registry.without_tokens(self.address)
        self.fleet.save(registry.revoking(serials, now))
        self.fleet.publish_revocations(self.signer, now)
        return len(serials)

    def _certify(self, days: int, now: datetime) -> Issued:
        key = new_key()
        end = now + timedelta(days=days)
        certificate = sign_certificate(self.signer, "client", self.name, key.public_key(), end)
        new = issued_trap(certificate, self.address)
        self.fleet.save(self.fleet.registry.with_issued(new))
        write_card(self.fleet, self.address, {"trap.key": key_pem(key), "trap.pem": certificate_pem(certificate)})
        return new


def offer_token(fleet: Fleet, address: TrapAddress, token: str, now: datetime, *, expires: datetime, days: int) -> None:
    """Promise a certificate to whoever shows `token`, and put the token, also as a QR code, onto the card.

    Raises ConfigError when the trap is enrolled or has an open token.
    """
    refuse_enrolled(fleet.registry, address, trap_name(address), now)
    fleet.save(promise(fleet.registry, address, token, expires, days))
    write_card(fleet, address, {"join.token": f"{token}\n".encode(), "join.svg": _qr_code(fleet, address, token)})


def redeem_token(fleet: Fleet, signer: Signer, token: str, request_pem: bytes, now: datetime) -> x509.Certificate:
    """The certificate that a token promised; remembered before anybody holds it. Raises ConfigError."""
    registry, certificate = redeem(fleet.registry, signer, token, request_pem, now)
    fleet.save(registry)
    return certificate


def card_folder(fleet: Fleet, address: TrapAddress) -> Path:
    """Where a trap's files for its card are."""
    return fleet.folder / "traps" / address.tenant / address.trap


def write_card(fleet: Fleet, address: TrapAddress, files: dict[str, bytes]) -> None:
    """The settings file, the authority's certificate and `files`."""
    folder = card_folder(fleet, address)
    make_folder(folder.parent)
    make_folder(folder)
    settings = _SETTINGS.format(
        name=trap_name(address), key="trap.key", tenant=address.tenant, trap=address.trap, broker=fleet.broker_url
    )
    for name, data in {"ca.pem": fleet.authority_pem, **files, "trap.toml": settings.encode()}.items():
        write_private(folder / name, data)


def _qr_code(fleet: Fleet, address: TrapAddress, token: str) -> bytes:
    content = {
        "zancudo": "join",
        "tenant": address.tenant,
        "trap": address.trap,
        "broker": fleet.broker_url,
        "ca_sha256": hashlib.sha256(fleet.authority_pem).hexdigest(),
        "token": token,
    }
    picture = io.BytesIO()
    segno.make(json.dumps(content, separators=(",", ":")), micro=False).save(picture, kind="svg", scale=6)
    return picture.getvalue()
