"""The agent's settings in one schema.

Flags go over the environment (TRAP_*), that over what was configured from afar, that over the settings file, and that
over defaults. So a technician's file can be corrected from afar, and what a unit or a command line says stays as it is.
"""

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from trap_contract.broker import BrokerAddress, Tls
from trap_contract.errors import ConfigError
from trap_contract.messages import Name, Semantics
from trap_contract.tiling import DEFAULT_OVERLAP
from trap_contract.topics import TrapAddress

from trap_agent.outbox import DEFAULT_LIMIT
from trap_agent.schedule import Schedule

LIVE: Final = ("window", "threshold", "fps", "schedule")
"""What can change while the agent runs, by the file or from afar."""

Value = str | int | float | bool | None

_MOST_THREADS = 4
_ENV_PREFIX = "TRAP_"
_MOST_PORT = 65535
ANY_HOST = "0.0.0.0"  # noqa: S104 - a preview is for the LAN, and behind a token


def _broker_url(url: str) -> str:
    try:
        BrokerAddress.parse(url, Tls())
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return url


def _preview_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 <= int(port) <= _MOST_PORT):
        raise ValueError(f"{text!r} is not [HOST:]PORT, as in 8080 or 127.0.0.1:8080")
    return f"{host or ANY_HOST}:{port}"


def _hours(text: str) -> str:
    try:
        Schedule.parse(text)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return text


def _own_name() -> str:
    return re.sub("[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:36] or "trap"


def _threads() -> int:
    return min(_MOST_THREADS, len(os.sched_getaffinity(0)))


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "trap-agent"


class CountSettings(BaseSettings):
    """What counting a picture needs."""

    model_config = SettingsConfigDict(env_prefix=_ENV_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    model: Path
    tile: Annotated[int | None, Field(gt=DEFAULT_OVERLAP, le=8192, description="px")] = None
    threads: Annotated[int, Field(ge=1, le=64)] = Field(default_factory=_threads)
    threshold: Annotated[float | None, Field(gt=0, lt=1)] = None


class AgentSettings(CountSettings):
    """Everything that can be set; the same names as flags, as TRAP_* variables and in the file."""

    source: str = Field(repr=False)
    broker: Annotated[str, AfterValidator(_broker_url)] | None = Field(default=None, repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    trap: Name = Field(default_factory=_own_name)
    tenant: Name = "default"
    window: Annotated[float, Field(ge=1, le=3600, description="seconds")] = 60.0
    semantics: Semantics = "occupancy"
    fps: Annotated[float | None, Field(gt=0, le=240, description="frames a second")] = None
    schedule: Annotated[str, AfterValidator(_hours), Field(description="HH:MM-HH:MM ZONE")] | None = None
    state_dir: Path = Field(default_factory=_state_folder)
    outbox_limit: Annotated[int, Field(ge=1, description="windows")] = DEFAULT_LIMIT
    drain: Annotated[float, Field(ge=0, le=3600, description="seconds")] = 30.0
    health: Annotated[float, Field(ge=1, le=86400, description="seconds from one report to the next")] = 60.0
    preview: Annotated[str, AfterValidator(_preview_address), Field(description="[HOST:]PORT")] | None = None
    trust: Path | None = None

    @property
    def preview_address(self) -> tuple[str, int] | None:
        """Where the live view listens."""
        if self.preview is None:
            return None
        host, _, port = self.preview.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def address(self) -> TrapAddress:
        """Where this trap's messages live."""
        return TrapAddress(self.tenant, self.trap)

    @property
    def broker_address(self) -> BrokerAddress | None:
        """Where windows go. Raises ConfigError for certificate files that are missing or don't belong to it."""
        return None if self.broker is None else BrokerAddress.parse(self.broker, Tls(self.ca, self.cert, self.key))


Settings = TypeVar("Settings", bound=CountSettings)


def load_settings(
    kind: type[Settings],
    flags: Mapping[str, object],
    file: Path | None = None,
    remote: Mapping[str, object] | None = None,
) -> Settings:
    """Merge all places; a flag that is None was not given. `remote` is what was configured from afar.

    Raises ConfigError naming the flag, the variable, or the file's line and key.
    """
    values: dict[str, object] = {}
    places: dict[str, str] = {}
    for place, found in _layers(kind, flags, file, remote or {}):
        values.update(found)
        places.update({name: place(name) for name in found})
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ConfigError(_explain(kind, fault, places)) from error


def _layers(
    kind: type[CountSettings], flags: Mapping[str, object], file: Path | None, remote: Mapping[str, object]
) -> list[tuple[Callable[[str], str], dict[str, object]]]:
    text, in_file = _read(file) if file else ("", {})
    environment = EnvSettingsSource(kind)()
    given = {name: value for name, value in flags.items() if value is not None}
    return [
        (lambda name: f"{file}, line {_line_of(name, text)}, {name}", in_file),
        (lambda name: f"configured from afar: {name}", dict(remote)),
        (lambda name: f"environment {_ENV_PREFIX}{name.upper()}", environment),
        (_flag, given),
    ]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _read(file: Path) -> tuple[str, dict[str, object]]:
    try:
        text = file.read_text()
        return text, tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error


def _line_of(key: str, text: str) -> int:
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _explain(kind: type[CountSettings], fault: Any, places: Mapping[str, str]) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "missing":
        return (
            f"{name} is not set: give {_flag(name)}, {_ENV_PREFIX}{name.upper()}, or {name} = ... in the --config file"
        )
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, kind.model_fields, 1)
        return f"{places[name]}: unknown key" + (f", did you mean {near[0]}?" if near else "")
    return f"{places.get(name, name or 'settings')}: {fault['msg'].removeprefix('Value error, ')}"
