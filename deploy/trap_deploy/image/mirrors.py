"""Where Debian's packages come from: what was asked for, or what this machine's own apt uses."""

import subprocess
from dataclasses import dataclass
from typing import Self

from trap_contract.errors import ConfigError

_FORMAT = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Addresses of the archive and its security updates, and of an archive that is not Debian's."""

    archive: str
    security: str
    further: str | None = None

    @classmethod
    def choose(cls, archive: str | None, security: str | None, further: str | None = None) -> Self:
        """The given addresses; what is not given as `apt` has it. Raises ConfigError when neither says it."""
        found = {} if archive and security else parse_targets(_apt_targets())
        archive = archive or found.get("Debian")
        security = security or found.get("Debian-Security") or (archive and f"{archive.rstrip('/')}-security")
        if not archive or not security:
            raise ConfigError("no Debian mirror is known here: give --mirror, as in http://HOST/debian")
        return cls(archive.rstrip("/"), security.rstrip("/"), further)

    def sources(self, suites: list[str], components: list[str]) -> str:
        """An apt sources list."""
        lines = [(self.security if suite.endswith("-security") else self.archive, suite) for suite in suites]
        return "".join(f"deb {address} {suite} {' '.join(components)}\n" for address, suite in lines)


def parse_targets(listing: str) -> dict[str, str]:
    """Debian's addresses by label, out of lines ORIGIN|LABEL|ADDRESS; the first of each label."""
    found: dict[str, str] = {}
    for line in listing.splitlines():
        origin, label, address = line.split("|", 2)
        if origin == "Debian":
            found.setdefault(label, address)
    return found


def _apt_targets() -> str:
    command = ["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(f"apt-get does not say where Debian is ({error}): give --mirror") from error
