"""Where the broker is, and how an mqtts connection trusts it and is trusted by it."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from trap_contract.errors import ConfigError

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
FORM = "mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts:// for TLS"


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files for mqtts://: who may sign the broker's certificate (without `ca` the system's), and our own."""

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

    def context(self) -> ssl.SSLContext:
        """What a connection trusts and shows.

        Raises ConfigError for a file that can't be used.
        """
        self.check()
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            given = ", ".join(str(path) for path in (self.ca, self.cert, self.key) if path)
            raise ConfigError(f"--ca, --cert or --key ({given}) can't be used: {error}; they must be PEM") from error
        return context


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """One broker; its text never shows the password."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None

    def __str__(self) -> str:
        """The address as a person would write it."""
        user = f"{self.username}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{user}{host}:{self.port}"

    @classmethod
    def parse(cls, url: str, tls: Tls) -> Self:
        """Read a broker URL; `tls` is for mqtts only.

        Raises ConfigError for any other form, without repeating what may hold a password, and for missing files.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"the broker's address is malformed: write {FORM}") from error
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port == 0:
            raise ConfigError(f"the broker's address is malformed: write {FORM}")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ConfigError(f"the broker's address must end after the port: write {FORM}")
        is_secure = parts.scheme == "mqtts"
        if not is_secure and tls != Tls():
            raise ConfigError("--ca, --cert and --key need a broker's address that begins with mqtts://")
        tls.check()
        return cls(
            host=parts.hostname,
            port=port or DEFAULT_PORTS[parts.scheme],
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            tls=tls if is_secure else None,
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """What the connection trusts and shows, None for a plain one.

        Raises ConfigError for a file that can't be used.
        """
        return None if self.tls is None else self.tls.context()
