"""Packages from npm that only tests need, checked like those of the pages and kept in `.cache`."""

import importlib.util
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "npm"
SHA512 = {
    "axe-core@4.14.1": "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    "typescript@5.9.3": "jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8wtm6M5TgSw==",
}


def package(wanted: str) -> Path:
    """The folder of an unpacked package; skips the test, and says why, where npm can't fetch it."""
    folder = CACHE / wanted.replace("/", "_")
    if folder.is_dir():
        return folder / "package"
    hook = _build_hook()
    name, version = wanted.rsplit("@", 1)
    scratch = CACHE / f"{folder.name}.part"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        tarball = hook.fetch(hook.Package(name, version, f"sha512-{SHA512[wanted]}", {}), scratch)
    except hook.VendorError as error:
        pytest.skip(str(error))
    with tarfile.open(tarball) as archive:
        archive.extractall(scratch, filter="data")
    tarball.unlink()
    try:
        scratch.rename(folder)
    except OSError:  # another worker was faster
        assert folder.is_dir()
    return folder / "package"


def _build_hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
