"""Where the broker is and how to be let in."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trap_contract.errors import ConfigError

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: who may sign the broker's certificate (the system's authorities if None), and our own."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker; as text it never shows the password."""

    host: str
    port: int
    is_tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        user = f"{self.username}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.is_tls else 'mqtt'}://{user}{host}:{self.port}"


def parse_broker(url: str) -> BrokerAddress:
    """Read mqtt://[user:password@]host[:port], or mqtts:// for TLS.

    Raises ConfigError, without repeating what may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"broker: not a URL of the form mqtt://HOST:PORT: {error}") from error
    is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    if parts.scheme not in _PORTS or not parts.hostname or not is_bare or port == 0:
        raise ConfigError("broker: not of the form mqtt://[USER:PASSWORD@]HOST[:PORT] or mqtts://...")
    username = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    is_tls = parts.scheme == "mqtts"
    return BrokerAddress(parts.hostname, port or _PORTS[parts.scheme], is_tls, username, password)


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """What an mqtts connection trusts and shows.

    Raises ConfigError when a file is missing or is not PEM.
    """
    try:
        context = ssl.create_default_context(cafile=files.ca)
        if files.cert:
            context.load_cert_chain(files.cert, files.key)
    except (OSError, ssl.SSLError) as error:
        given = ", ".join(str(path) for path in (files.ca, files.cert, files.key) if path)
        raise ConfigError(f"ca, cert or key ({given}) can't be used: {error}") from error
    return context
