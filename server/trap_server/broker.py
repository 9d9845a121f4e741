"""Where the broker is and how to be trusted by it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from trap_contract.errors import ConfigError

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
FORM = "mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts:// for TLS"


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for mqtts://; without `ca` the system's authorities are trusted."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def check(self) -> None:
        """Raise ConfigError for a missing file or a half-given pair."""
        for flag, path in (("--ca", self.ca), ("--cert", self.cert), ("--key", self.key)):
            if path is not None and not path.is_file():
                raise ConfigError(f"{flag} {path}: no such file")
        if (self.cert is None) != (self.key is None):
            raise ConfigError("--cert and --key belong together: give both or neither")


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """One broker; its text never shows the password."""

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None

    def __str__(self) -> str:
        """The address as a person would write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    @classmethod
    def parse(cls, url: str, tls: Tls) -> Self:
        """Read a broker URL.

        Raises ConfigError for any other form, without repeating a password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"the broker's address is malformed ({error}): write {FORM}") from error
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port == 0:
            raise ConfigError(f"the broker's address is malformed: write {FORM}")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ConfigError(f"the broker's address must end after the port: write {FORM}")
        secure = parts.scheme == "mqtts"
        if not secure and tls != Tls():
            raise ConfigError("--ca, --cert and --key need an address that begins with mqtts://")
        tls.check()
        return cls(
            host=parts.hostname,
            port=port or DEFAULT_PORTS[parts.scheme],
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            tls=tls if secure else None,
        )
