"""What can be set on a trap: one schema for flags, variables, settings files and the trap.toml on its card."""

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from trap_contract.broker import BrokerAddress, Tls
from trap_contract.errors import ConfigError
from trap_contract.messages import Name, Semantics, Value
from trap_contract.schedule import Schedule
from trap_contract.topics import TrapAddress

MOST_WINDOWS = 1_000_000
"""Held in the outbox: 1.9 years of minutes."""
LIVE: Final = ("window", "threshold", "fps", "schedule", "evidence")
"""What can change while the agent runs, by the file or from afar: nothing that could cut the trap off."""
ANY_HOST = "0.0.0.0"  # noqa: S104 - a preview is for the LAN, and behind a token

_MOST_THREADS = 4
_MOST_PORT = 65535
_TILE_OVERLAP = 100  # tiling.DEFAULT_OVERLAP, without numpy: a card is read in the first seconds of a boot


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


class CountFields(BaseModel):
    """What counting a picture needs."""

    model: Path
    tile: Annotated[int | None, Field(gt=_TILE_OVERLAP, le=8192, description="px")] = None
    threads: Annotated[int, Field(ge=1, le=64)] = Field(default_factory=_threads)
    threshold: Annotated[float | None, Field(gt=0, lt=1)] = None


class TrapFields(CountFields):
    """Everything that can be set; the same names as flags, as TRAP_* variables and in the file."""

    source: str = Field(repr=False)
    broker: Annotated[str, AfterValidator(_broker_url)] | None = Field(default=None, repr=False)
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    trap: Name = Field(default_factory=_own_name)
    tenant: Name = "default"
    site: Annotated[str, Field(max_length=120, description="where it hangs, in words")] = ""
    window: Annotated[float, Field(ge=1, le=3600, description="seconds")] = 60.0
    semantics: Semantics = "occupancy"
    fps: Annotated[float | None, Field(gt=0, le=240, description="frames a second")] = None
    schedule: Annotated[str, AfterValidator(_hours), Field(description="HH:MM-HH:MM ZONE")] | None = None
    state_dir: Path = Field(default_factory=_state_folder)
    outbox_limit: Annotated[int, Field(ge=1, description="windows")] = MOST_WINDOWS
    drain: Annotated[float, Field(ge=0, le=3600, description="seconds")] = 30.0
    health: Annotated[float, Field(ge=1, le=86400, description="seconds from one report to the next")] = 60.0
    evidence: Annotated[float, Field(ge=0, le=10_000, description="MB of crops for review a day")] = 0.0
    evidence_disk: Annotated[float, Field(ge=1, le=100_000, description="MB of pictures that may wait")] = 50.0
    home_assistant: Annotated[
        str | None, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", description="its discovery prefix")
    ] = None
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


def check_live(settings: Mapping[str, Value]) -> None:
    """Raises ConfigError, with the reason, for settings that no trap would take from afar."""
    strange = [name for name in settings if name not in LIVE]
    if strange:
        raise ConfigError(f"can't set {', '.join(strange)} from afar; only {', '.join(LIVE)}")
    try:
        taken = TrapFields.model_validate({"model": "m", "source": "s", **settings})
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = fault["loc"][0] if fault["loc"] else "settings"
        raise ConfigError(f"{name}: {fault['msg'].removeprefix('Value error, ')}") from error
    for name, value in settings.items():
        if isinstance(value, bool) or getattr(taken, name) != value:
            raise ConfigError(f"{name}: {value!r} is of another kind: write {getattr(taken, name)!r}")
