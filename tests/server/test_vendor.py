"""The build hook that installs the page's JavaScript: right files, or none."""

import base64
import hashlib
import importlib.util
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("hatchling", reason="the build back end is not in this environment")

ROOT = Path(__file__).resolve().parents[2]
CONTENT = b"export default class {}\n"


@pytest.fixture
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: ModuleType) -> Callable[[bytes], Path]:
    """A project whose npm is a script that hands out the given content."""

    def build(served: bytes) -> Path:
        tarball = io.BytesIO()
        with tarfile.open(fileobj=tarball, mode="w:gz") as archive:
            member = tarfile.TarInfo("package/dist/chart.js")
            member.size = len(served)
            archive.addfile(member, io.BytesIO(served))
        (tmp_path / "chart.tgz").write_bytes(tarball.getvalue())
        npm = tmp_path / "bin" / "npm"
        npm.parent.mkdir(exist_ok=True)
        npm.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/npm.log"\ncp "{tmp_path}/chart.tgz" "$4"\n')
        npm.chmod(0o755)
        monkeypatch.setenv("PATH", str(npm.parent), prepend=":")
        entry = {
            "package": "chart",
            "version": "1.0.0",
            "integrity": "sha512-" + base64.b64encode(hashlib.sha512(tarball.getvalue()).digest()).decode(),
            "files": {"chart.js": {"from": "package/dist/chart.js", "sha256": hashlib.sha256(CONTENT).hexdigest()}},
        }
        static = tmp_path / hook.STATIC
        static.mkdir(parents=True, exist_ok=True)
        (static / "vendor.json").write_text(json.dumps([entry]))
        return tmp_path

    return build


def test_files_that_match_are_left_alone(site: Callable[[bytes], Path], hook: ModuleType):
    root = site(CONTENT)
    (package,) = hook.missing_packages(root)
    hook.install(package, root / hook.VENDOR)
    assert (root / hook.VENDOR / "chart.js").read_bytes() == CONTENT
    assert hook.missing_packages(root) == []
    (root / hook.VENDOR / "chart.js").write_bytes(b"altered")
    assert hook.missing_packages(root) == [package]


def test_another_tarball_is_refused_and_nothing_is_written(site: Callable[[bytes], Path], hook: ModuleType):
    root = site(CONTENT)
    (package,) = hook.missing_packages(root)
    (root / "chart.tgz").write_bytes(b"something else")
    with pytest.raises(hook.VendorError, match=r"chart@1\.0\.0 .* SHA-512 differs"):
        hook.install(package, root / hook.VENDOR)
    assert not (root / hook.VENDOR).exists()


def test_a_failing_npm_gives_one_line(site: Callable[[bytes], Path], hook: ModuleType):
    root = site(CONTENT)
    (root / "bin" / "npm").write_text("#!/bin/sh\necho 'no network' >&2\necho 'see the log' >&2\nexit 1\n")
    with pytest.raises(hook.VendorError, match="no network") as caught:
        hook.install(hook.missing_packages(root)[0], root / hook.VENDOR)
    assert "\n" not in str(caught.value)


def test_outlines_keep_the_corners_of_a_border_and_leave_out_what_lies_on_its_lines(hook: ModuleType):
    arc = [[0, 0], [10, 0], [10, 0], [0, 10]]  # from the south west to the east, then north
    land = {"geometries": [{"arcs": [[[0]]]}]}
    transform = {"scale": [hook.OUTLINE_STEP] * 2, "translate": [0, 0]}
    found = json.loads(
        hook.outlines(json.dumps({"arcs": [arc], "objects": {"land": land}, "transform": transform}).encode())
    )
    assert found == {"step": hook.OUTLINE_STEP, "arcs": [[0, 0, 20, 0, 0, 10]], "land": [[[0]]]}
