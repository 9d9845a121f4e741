"""The agent's settings in one schema.

Flags go over the environment (TRAP_*), that over what was set from afar, that over the settings file, and that
over defaults. So a technician's file can be corrected from afar, and what a unit or a command line says stays as it is.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, ValidationError
from trap_contract.errors import ConfigError
from trap_contract.settings import CountFields, TrapFields
from trap_contract.toml_lines import line_of

_ENV_PREFIX = "TRAP_"
_BESIDE = ("ca", "cert", "key", "trust")


class CountSettings(CountFields):
    """What counting a picture needs, from every place."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AgentSettings(TrapFields, CountSettings):
    """Everything that can be set; the same names as flags, as TRAP_* variables and in the file."""


Settings = TypeVar("Settings", bound=CountSettings)


def load_settings(
    kind: type[Settings],
    flags: Mapping[str, object],
    file: Path | None = None,
    afar: Mapping[str, object] | None = None,
) -> Settings:
    """Merge all places; a flag that is None was not given. `afar` is what was set from afar.

    Raises ConfigError naming the flag, the variable, or the file's line and key.
    """
    values: dict[str, object] = {}
    places: dict[str, str] = {}
    for place, found in _layers(kind, flags, file, afar or {}):
        values.update(found)
        places.update({name: place(name) for name in found})
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ConfigError(_explain(kind, fault, places)) from error


def _layers(
    kind: type[CountSettings], flags: Mapping[str, object], file: Path | None, afar: Mapping[str, object]
) -> list[tuple[Callable[[str], str], dict[str, object]]]:
    text, in_file = _read(file) if file else ("", {})
    variables = {name: os.environ.get(_ENV_PREFIX + name.upper()) for name in kind.model_fields}
    environment: dict[str, object] = {name: text for name, text in variables.items() if text}
    given = {name: value for name, value in flags.items() if value is not None}
    return [
        (lambda name: f"{file}, line {line_of(text, name)}, {name}", in_file),
        (lambda name: f"set from afar: {name}", dict(afar)),
        (lambda name: f"environment {_ENV_PREFIX}{name.upper()}", environment),
        (_flag, given),
    ]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _read(file: Path) -> tuple[str, dict[str, object]]:
    try:
        text = file.read_text()
        return text, _beside(file, tomllib.loads(text))
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error


def _beside(file: Path, found: dict[str, object]) -> dict[str, object]:
    """Certificates and keys are named from where the settings file is: they are handed out together."""
    named = {name: found[name] for name in _BESIDE if isinstance(found.get(name), str)}
    return {**found, **{name: file.parent / str(value) for name, value in named.items()}}


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
