"""The fleet's folder: the authority with its locked key, its registry, and the files that the broker reads.

DIR/authority  ca.pem, ca.key (encrypted), registry.json       DIR/collectors/NAME  ca.pem, collector.pem, collector.key
DIR/broker     mosquitto.conf, acl, ca.pem, broker.pem, broker.key, crl.pem, data/
DIR/traps/TENANT/TRAP  what goes onto a card
"""

import fcntl
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import ValidationError
from trap_contract.errors import ConfigError, StoreError

from trap_server.fleet import broker_rules
from trap_server.fleet.certificates import (
    Signer,
    certificate_pem,
    key_pem,
    new_authority,
    new_key,
    sign_certificate,
    sign_revocations,
)
from trap_server.fleet.private_files import make_folder, read_private, write_private
from trap_server.fleet.registry import Issued, Kind, Lock, Registry

_AUTHORITY_DAYS = 20 * 365
SERVICE_DAYS = 5 * 365
REVOCATION_DAYS = 10 * 365
FIRST_COLLECTOR = "collector"


@dataclass(frozen=True, slots=True)
class Plan:
    """What `init` is told: the broker's names (the first is for traps), its port, how it is told to read anew."""

    hosts: tuple[str, ...]
    port: int
    reload: str
    broker_user: str | None


@dataclass(slots=True)
class Fleet:
    """An open fleet folder; every change is on disk when a method returns."""

    folder: Path
    registry: Registry

    @property
    def broker_url(self) -> str:
        """Where traps and collectors connect."""
        host = self.registry.hosts[0]
        return f"mqtts://{f'[{host}]' if ':' in host else host}:{self.registry.port}"

    @property
    def authority_pem(self) -> bytes:
        """The certificate that everybody trusts."""
        return (self.folder / "authority" / "ca.pem").read_bytes()

    @property
    def authority(self) -> x509.Certificate:
        """The certificate that everybody trusts, parsed."""
        return x509.load_pem_x509_certificate(self.authority_pem)

    def unlock(self, passphrase: str, now: datetime) -> Signer:
        """The authority, ready to sign. Raises ConfigError for a wrong passphrase or an authority that has expired."""
        certificate = self.authority
        if now >= certificate.not_valid_after_utc:
            raise ConfigError(
                f"{self.folder}: the authority expired on {certificate.not_valid_after_utc:%Y-%m-%d}: "
                "make a new one with trap-fleet init in another folder, and enrol every trap again"
            )
        place = self.folder / "authority" / "ca.key"
        pem = read_private(place, "authority's key")
        try:
            key = load_pem_private_key(pem, _stretch(passphrase, self.registry.lock))
        except ValueError as error:
            raise ConfigError(f"{place}: the passphrase does not open it") from error
        assert isinstance(key, EllipticCurvePrivateKey)
        return Signer(certificate, key)

    def save(self, registry: Registry) -> None:
        """Replace the registry, in one step."""
        write_private(_registry_file(self.folder), registry.model_dump_json(indent=1).encode() + b"\n")
        self.registry = registry

    def publish_revocations(self, signer: Signer, now: datetime, days: int = REVOCATION_DAYS) -> None:
        """Sign the list of what is revoked anew, for the broker to read."""
        end = min(now + timedelta(days=days), signer.certificate.not_valid_after_utc)
        number = self.registry.crl_number + 1
        self.save(self.registry.model_copy(update={"crl_number": number, "crl_not_after": end}))
        pem = sign_revocations(signer, self.registry.revocations(now), number, now, end)
        self._write_for_broker("crl.pem", pem)

    def publish_rules(self, now: datetime) -> bool:
        """Write the access rules; whether the broker must read them, for they are not what it had."""
        text = broker_rules.access_rules(self.registry.collectors(now), self.registry.outcasts(now))
        file = self.folder / "broker" / "acl"
        if file.exists() and file.read_text() == text:
            return False
        self._write_for_broker("acl", text.encode())
        return True

    def certify_broker(self, signer: Signer, now: datetime) -> None:
        """A new key and certificate for the broker, in place of what it has."""
        key, name = new_key(), self.registry.hosts[0]
        end = now + timedelta(days=SERVICE_DAYS)
        certificate = sign_certificate(signer, "broker", name[:64], key.public_key(), end, hosts=self.registry.hosts)
        self._remember("broker", name, certificate)
        self._write_for_broker("broker.key", key_pem(key))
        self._write_for_broker("broker.pem", certificate_pem(certificate))

    def certify_collector(self, signer: Signer, name: str, now: datetime) -> Path:
        """A new key and certificate for a collector; returns its folder."""
        key = new_key()
        end = now + timedelta(days=SERVICE_DAYS)
        certificate = sign_certificate(signer, "client", name, key.public_key(), end)
        self._remember("collector", name, certificate)
        folder = self.folder / "collectors" / name
        make_folder(folder)
        write_private(folder / "ca.pem", self.authority_pem)
        write_private(folder / "collector.key", key_pem(key))
        write_private(folder / "collector.pem", certificate_pem(certificate))
        self._certify_https(signer, folder, end)
        return folder

    def _certify_https(self, signer: Signer, folder: Path, end: datetime) -> None:
        """With it the collector's API serves bundles to traps, under the names of the broker."""
        key, hosts = new_key(), self.registry.hosts
        certificate = sign_certificate(signer, "broker", hosts[0][:64], key.public_key(), end, hosts=hosts)
        write_private(folder / "https.key", key_pem(key))
        write_private(folder / "https.pem", certificate_pem(certificate))

    def write_configuration(self) -> None:
        """mosquitto.conf and the certificate that it trusts."""
        folder, plan = self.folder / "broker", self.registry
        self._write_for_broker("ca.pem", self.authority_pem)
        text = broker_rules.configuration(folder, plan.port, plan.broker_user)
        self._write_for_broker("mosquitto.conf", text.encode())

    def _remember(self, kind: Kind, name: str, certificate: x509.Certificate) -> None:
        new = Issued(
            serial=f"{certificate.serial_number:x}", kind=kind, name=name, not_after=certificate.not_valid_after_utc
        )
        self.save(self.registry.superseding(kind, name).with_issued(new))

    def _write_for_broker(self, name: str, data: bytes) -> None:
        write_private(self.folder / "broker" / name, data, broker_owner(self.registry.broker_user))


def init_fleet(folder: Path, plan: Plan, passphrase: str, lock: Lock, now: datetime) -> Fleet:
    """Make the authority, the broker's files and the first collector's, in a folder that is new or empty.

    Raises ConfigError when there is something in it: an authority is never overwritten.
    """
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: not empty: an authority is never overwritten; give a new folder")
    owner = broker_owner(plan.broker_user)
    make_folder(folder, 0o711)  # the broker's user passes through
    for name, mode in (("authority", 0o700), ("broker", 0o711), ("collectors", 0o700), ("traps", 0o700)):
        make_folder(folder / name, mode)
    make_folder(folder / "broker" / "data")
    if owner is not None:
        os.chown(folder / "broker" / "data", *owner)
    signer = new_authority(f"zancudo {plan.hosts[0]}"[:64], now, _AUTHORITY_DAYS)
    _write_authority(folder, signer, _stretch(passphrase, lock))
    fleet = Fleet(folder, Registry.model_validate({**_as_fields(plan), "lock": lock, "crl_not_after": now}))
    fleet.certify_broker(signer, now)
    fleet.certify_collector(signer, FIRST_COLLECTOR, now)
    fleet.publish_revocations(signer, now)
    fleet.publish_rules(now)
    fleet.write_configuration()
    return fleet


@contextmanager
def open_fleet(folder: Path) -> Iterator[Fleet]:
    """The fleet in a folder, for one command at a time. Raises ConfigError where there is none, StoreError."""
    folder = folder.resolve()
    if not _registry_file(folder).is_file():
        raise ConfigError(f"{folder}: no fleet in it: give --dir, or make one with trap-fleet init")
    lock = os.open(folder / "authority", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Fleet(folder, _read_registry(_registry_file(folder)))
    finally:
        os.close(lock)


def broker_owner(user: str | None) -> tuple[int, int] | None:
    """Whom the broker's files must belong to: only root can give them away. Raises ConfigError for an unknown user."""
    if user is None or os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(user)
    except KeyError as error:
        raise ConfigError(f"--broker-user {user}: no such user: name the one that mosquitto runs as") from error
    return found.pw_uid, found.pw_gid


def _write_authority(folder: Path, signer: Signer, password: bytes) -> None:
    encrypted = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    write_private(folder / "authority" / "ca.key", encrypted)
    write_private(folder / "authority" / "ca.pem", certificate_pem(signer.certificate))


def _stretch(passphrase: str, lock: Lock) -> bytes:
    """Needed because PKCS #8 as OpenSSL writes it has 2048 rounds of PBKDF2, too few for people's choices."""
    scrypt = Scrypt(salt=bytes.fromhex(lock.salt), length=32, n=lock.n, r=8, p=1)
    return scrypt.derive(passphrase.encode()).hex().encode()


def _as_fields(plan: Plan) -> dict[str, object]:
    return {"hosts": plan.hosts, "port": plan.port, "reload": plan.reload, "broker_user": plan.broker_user}


def _registry_file(folder: Path) -> Path:
    return folder / "authority" / "registry.json"


def _read_registry(file: Path) -> Registry:
    try:
        return Registry.model_validate_json(read_private(file, "registry"))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise StoreError(f"{file}: damaged at {place or 'its beginning'}: {fault['msg']}: restore a copy") from error
