"""What an operator may set: flags, then environment `TRAP_SERVER_*`, then defaults."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from trap_contract.broker import BrokerAddress, Tls
from trap_contract.errors import ConfigError

from trap_server.dashboard.basemap import Basemap, Tiles, basemap_of

PREFIX = "TRAP_SERVER_"


class Settings(BaseSettings):
    """One schema for every command of this room."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    broker: str = "mqtt://127.0.0.1:1883"
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    collector: Annotated[str, Field(pattern="^[A-Za-z0-9-]{1,64}$")] = "zancudo-collector"
    """MQTT client id: stable, one per replica, for the broker keeps its queue by this name."""
    share: Annotated[str, Field(pattern="^[A-Za-z0-9-]{0,64}$")] = ""
    """Group of collectors that share the traps' messages, each message to one of them; "" takes all."""
    database: str = "sqlite:///zancudo.db"
    fleet: Path | None = None
    """Folder of `trap-fleet init`, from which traps are enrolled by the page."""
    evidence_mb: Annotated[int, Field(ge=0)] = 100
    """JPEG megabytes kept of each trap; the oldest pictures go first."""
    keep_windows_days: Annotated[int | None, Field(ge=7)] = None
    """How long windows stay beside the hours and nights that they come to; None: for good."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    url: str | None = None
    """Where people find the page, if not at `host` and `port`: links are written with it."""
    map_tiles: Tiles = ""
    """The operator's own map: URL template with {z}, {x} and {y}, or a PMTiles archive by its URL or path."""
    map_attribution: str = ""
    """Whom to thank for it, shown on the map."""
    bundles: Path = Path("bundles")
    """Where published bundles are: `trap-fleet rollout publish` writes there, the API serves from there."""
    https_cert: Path | None = None
    https_key: Path | None = None
    log_json: bool = False

    @model_validator(mode="after")
    def _pair(self) -> Self:
        for name, path in (("https_cert", self.https_cert), ("https_key", self.https_key)):
            if path is not None and not path.is_file():
                raise ValueError(f"{name} {path}: no such file")
        if (self.https_cert is None) != (self.https_key is None):
            raise ValueError("https_cert and https_key belong together: give both or neither")
        return self

    @property
    def page(self) -> str:
        """Where people find the page."""
        scheme = "https" if self.https_cert else "http"
        return self.url or f"{scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    @property
    def basemap(self) -> Basemap:
        """The map below the traps."""
        return basemap_of(self.map_tiles, self.map_attribution)

    @property
    def broker_address(self) -> BrokerAddress:
        """Where ingest connects. Raises ConfigError."""
        return BrokerAddress.parse(self.broker, Tls(self.ca, self.cert, self.key))


def read_settings(**flags: object) -> Settings:
    """Merge the flags that were given over the environment and the defaults.

    Raises ConfigError naming the setting and what it may be.
    """
    try:
        return Settings.model_validate({name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if not first["loc"]:
            raise ConfigError(first["msg"].removeprefix("Value error, ")) from error
        name = str(first["loc"][0])
        flag = name.replace("_", "-")
        raise ConfigError(f"--{flag} or {PREFIX}{name.upper()}: {first['msg']}, got {first['input']!r}") from error
