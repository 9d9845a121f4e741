"""Published bundles on disk: SHELF/DIGEST/NAME, written once, never changed."""

import hashlib
import shutil
from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError
from trap_contract.bundle import bundle_digest, read_manifest
from trap_contract.errors import BundleError, StoreError
from trap_contract.rollout import BundleFile, PublishedBundle
from trap_contract.signature import verify_bundle, verify_integrity


def describe(bundle: Path, trusted: Collection[str] | None) -> PublishedBundle:
    """What is published of a bundle and its signature.

    Raises BundleError when it is unsigned, altered, not by a trusted key, not ours, or has names that traps refuse.
    """
    signature = verify_integrity(bundle) if trusted is None else verify_bundle(bundle, trusted)
    if not signature.signed_at_s:
        raise BundleError(f"{bundle}: its signature does not say when it was made: sign it again with trap-export sign")
    manifest = read_manifest(bundle)
    if manifest is None:
        raise BundleError(f"{bundle}: holds no manifest of ours: publish what trap-export build makes")
    paths = [path for path in sorted(bundle.rglob("*")) if path.is_file()] if bundle.is_dir() else [bundle]
    try:
        return PublishedBundle(
            name=bundle.name,
            model=manifest.id,
            model_sha256=bundle_digest(bundle),
            signature=signature,
            files=tuple(_file(path, bundle.parent) for path in paths),
        )
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise BundleError(f"{bundle}: can't be published: {place}: {fault['msg']}") from error


def place(shelf: Path, bundle: Path, described: PublishedBundle) -> None:
    """Copy it onto the shelf, whole or not at all. Raises StoreError."""
    home = shelf / described.digest
    aside = shelf / f".{described.digest}.new"
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        for file in described.files:
            target = aside / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.parent / file.name, target)
        shutil.rmtree(home, ignore_errors=True)
        aside.replace(home)
    except OSError as error:
        raise StoreError(f"{shelf}: can't be written: {error.strerror}: give another --bundles") from error


def file_on_shelf(shelf: Path, described: PublishedBundle, name: str) -> Path | None:
    """A file that the bundle names; None for any other name, whatever it is made of."""
    if name not in {file.name for file in described.files}:
        return None
    path = shelf / described.digest / name
    return path if path.is_file() else None


def _file(path: Path, root: Path) -> BundleFile:
    data = path.read_bytes()
    name = path.relative_to(root).as_posix()
    return BundleFile(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
