"""Who vouches for a bundle: a detached Ed25519 signature (RFC 8032) over all of its bytes, in NAME.sig beside it.

What is signed is `content_digest`, so the manifest, which lies inside the bundle, is covered with the rest.
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trap_contract.bundle import bundle_format
from trap_contract.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_DOMAIN = b"zancudo.bundle.v1\n"


class Signature(BaseModel):
    """The text of a .sig file: SHA-256 of the content, public key and signature, in hex; `signed_at_s` is signed too.

    Of two bundles the one that was signed later is the newer: a trap takes no older one from afar.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["zancudo.signature"] = "zancudo.signature"
    schema_version: Literal[1] = 1
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    key: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    signature: Annotated[str, Field(pattern="^[0-9a-f]{128}$")]
    signed_at_s: Annotated[int, Field(ge=0, lt=2**53, description="since 1970, UTC; 0: not told")] = 0


def signature_file(bundle: Path) -> Path:
    """Where the signature of a bundle is: beside it, also for a folder."""
    return bundle.with_name(f"{bundle.name}.sig")


def content_digest(bundle: Path) -> str:
    """SHA-256, hex, of a bundle's file; of a folder, over the name, size and SHA-256 of every file in it, sorted.

    Raises BundleError when there is no model, or a folder holds anything but files and folders.
    """
    if bundle_format(bundle) != "openvino":
        return hashlib.sha256(bundle.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in _files(bundle):
        data = file.read_bytes()
        name = file.relative_to(bundle).as_posix().encode()
        digest.update(b"%d %b %d %b\n" % (len(name), name, len(data), hashlib.sha256(data).hexdigest().encode()))
    return digest.hexdigest()


def sign(digest: str, key: "Ed25519PrivateKey", signed_at_s: int = 0) -> Signature:
    """The signature of a content digest and of the time of signing."""
    public, signature = key.public_key().public_bytes_raw().hex(), key.sign(_message(digest, signed_at_s)).hex()
    return Signature(digest=digest, key=public, signature=signature, signed_at_s=signed_at_s)


def verify_bundle(bundle: Path, trusted: Collection[str]) -> Signature:
    """The signature of a bundle that is unaltered since one of the `trusted` public keys (hex) signed it.

    Raises BundleError when it has no signature, a damaged or foreign one, or its content is not what was signed.
    """
    found = verify_integrity(bundle)
    if found.key not in trusted:
        raise BundleError(
            f"{signature_file(bundle)}: signed by key {found.key[:16]}, which is not trusted here: "
            "sign the bundle with a trusted key, or trust this one"
        )
    return found


def verify_integrity(bundle: Path) -> Signature:
    """The signature of a bundle that is unaltered since anybody signed it; says nothing about who that was.

    Raises BundleError as verify_bundle does, but for a key that is not trusted.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    place, found = signature_file(bundle), read_signature(bundle)
    if content_digest(bundle) != found.digest:
        raise BundleError(f"{bundle}: is not what was signed (altered or damaged): copy it again with {place.name}")
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(found.key)).verify(
            bytes.fromhex(found.signature), _message(found.digest, found.signed_at_s)
        )
    except (InvalidSignature, ValueError) as error:
        raise BundleError(f"{place}: is not a signature by the key it names: sign the bundle again") from error
    return found


def read_signature(bundle: Path) -> Signature:
    """What the .sig file of a bundle says, unchecked.

    Raises BundleError when it is missing or malformed.
    """
    place = signature_file(bundle)
    try:
        return Signature.model_validate_json(place.read_bytes())
    except OSError as error:
        raise BundleError(f"{place}: no signature beside the bundle: make one with trap-export sign") from error
    except ValidationError as error:
        raise BundleError(f"{place}: not a signature (damaged or cut short): copy it again") from error


def load_public_key(file: Path) -> str:
    """An Ed25519 public key, hex, from a PEM file.

    Raises ConfigError when the file is missing or is no such key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: no such key: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{file}: not a public key in PEM: give the .pub that trap-export keygen wrote") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{file}: not an Ed25519 key: make one with trap-export keygen")
    return key.public_bytes_raw().hex()


def _message(digest: str, signed_at_s: int) -> bytes:
    return _DOMAIN + bytes.fromhex(digest) + (signed_at_s.to_bytes(8, "big") if signed_at_s else b"")


def _files(folder: Path) -> list[Path]:
    """Every file below a folder, by name; a link could point at something else tomorrow, so none is taken."""
    found = []
    for place, folders, names in os.walk(folder):
        paths = [Path(place) / name for name in (*folders, *names)]
        for path in paths:
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise BundleError(f"{path}: a bundle holds plain files only: remove it")
        found += [path for path in paths if path.is_file()]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())
