"""What can be said of a bundle's digest and signature, for `trap-export show`."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from trap_contract.errors import BundleError
from trap_contract.signature import content_digest, read_signature, signature_file, verify_bundle, verify_integrity


@dataclass(frozen=True, slots=True)
class Seal:
    """`key` signed it, or nobody (None); `fault` is why that does not hold, empty when it does."""

    sha256: str
    key: str | None
    digest_holds: bool | None
    signature_holds: bool
    fault: str

    def as_json(self) -> dict[str, str | bool | None]:
        """For programs."""
        return {
            "sha256": self.sha256,
            "digest_holds": self.digest_holds,
            "signature_holds": self.signature_holds,
            "signed_by": self.key,
            "fault": self.fault,
        }

    def text(self) -> str:
        """For people, three lines."""
        verdict = {True: "holds", False: "DOES NOT HOLD", None: "nothing to compare with"}
        signature = f"{verdict[self.signature_holds]}, key {self.key}" if self.key else "none"
        lines = f"sha256     {self.sha256}\ndigest     {verdict[self.digest_holds]}\nsignature  {signature}"
        return f"{lines}\n           {self.fault}" if self.fault else lines


def inspect(bundle: Path, trusted: Collection[str]) -> Seal:
    """Compare a bundle with its signature; with no key to trust, any key's signature will do."""
    sha256 = content_digest(bundle)
    if not signature_file(bundle).exists():
        return Seal(sha256, None, None, signature_holds=False, fault=f"{signature_file(bundle)}: no signature")
    found = read_signature(bundle)
    try:
        verify_bundle(bundle, trusted) if trusted else verify_integrity(bundle)
    except BundleError as error:
        return Seal(sha256, found.key, sha256 == found.digest, signature_holds=False, fault=str(error))
    return Seal(sha256, found.key, True, signature_holds=True, fault="")
