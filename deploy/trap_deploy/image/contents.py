"""What is in an image: its package list, and a bill of materials (CycloneDX 1.6)."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """One package, of Debian ("deb") or PyPI ("pypi")."""

    kind: str
    name: str
    version: str

    @property
    def purl(self) -> str:
        """The package URL (purl-spec)."""
        place = "deb/debian" if self.kind == "deb" else "pypi"
        tail = "?arch=arm64" if self.kind == "deb" else ""
        return f"pkg:{place}/{quote(self.name, safe='')}@{quote(self.version, safe='')}{tail}"


def parse_status(status: str) -> list[Package]:
    """Installed packages of a dpkg status file, in order of names."""
    found = []
    for stanza in status.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            found.append(Package("deb", fields["Package"], fields["Version"]))
    return sorted(found)


def python_packages(site_packages: Path) -> list[Package]:
    """Python packages by their .dist-info folders."""
    names = (path.name.removesuffix(".dist-info") for path in site_packages.glob("*.dist-info"))
    return sorted(Package("pypi", name.replace("_", "-").lower(), version) for name, _, version in map(_split, names))


def _split(name: str) -> tuple[str, str, str]:
    return name.rpartition("-")


def as_list(packages: Iterable[Package]) -> str:
    """One a line: kind, name, version."""
    return "".join(f"{one.kind}\t{one.name}\t{one.version}\n" for one in packages)


def as_sbom(packages: Iterable[Package], name: str, version: str) -> str:
    """A CycloneDX document."""
    components = [
        {"type": "library", "bom-ref": one.purl, "name": one.name, "version": one.version, "purl": one.purl}
        for one in packages
    ]
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "operating-system", "name": name, "version": version}},
        "components": components,
    }
    return json.dumps(document, indent=1) + "\n"
