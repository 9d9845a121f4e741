"""The maker's side of signatures: keys, and the .sig beside a bundle. Traps verify with trap_contract.signature."""

import os
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from trap_contract.bundle import read_manifest
from trap_contract.errors import BundleError, ConfigError
from trap_contract.signature import content_digest, sign, signature_file


def make_key(file: Path) -> Path:
    """Write a new private key, readable by its owner alone, and its public key to FILE.pub; returns the latter.

    Raises ConfigError when one of them exists: a lost key can't be replaced on traps that trust it.
    """
    public = file.with_name(f"{file.name}.pub")
    for place in (file, public):
        if place.exists():
            raise ConfigError(f"{place}: exists: keep it, or give another name")
    key = Ed25519PrivateKey.generate()
    _write_new(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    _write_new(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return public


def load_key(file: Path) -> Ed25519PrivateKey:
    """A private key that nobody else can read.

    Raises ConfigError when it is missing, others can read it, or it is no Ed25519 key.
    """
    try:
        if file.stat().st_mode & 0o077:
            raise ConfigError(f"{file}: others can read this private key: chmod 600 {file}")
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{file}: no such key: {error.strerror}: make one with trap-export keygen") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{file}: not a private key in PEM without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{file}: not an Ed25519 key: make one with trap-export keygen")
    return key


def sign_bundle(bundle: Path, key: Ed25519PrivateKey) -> Path:
    """Write the signature of a bundle of ours beside it, in one step; returns its path.

    Raises BundleError when there is no bundle of ours to sign.
    """
    if read_manifest(bundle) is None:
        raise BundleError(f"{bundle}: holds no manifest of ours: sign what trap-export build makes")
    place = signature_file(bundle)
    aside = place.with_name(f".{place.name}.new")
    aside.write_text(sign(content_digest(bundle), key, int(time.time())).model_dump_json(indent=1) + "\n")
    return aside.replace(place)


def _write_new(file: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(data)
