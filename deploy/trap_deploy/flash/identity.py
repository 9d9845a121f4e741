"""Who a trap is, as files for its card: from flags, and from the folder that `trap-fleet enrol` wrote."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trap_contract.card import SECRETS, TABLES, TRAP_FILE, read_card
from trap_contract.errors import ConfigError

_HEAD = "# Written by trap-flash. Edit with any text editor; mistakes are named in trap-status.txt.\n"


@dataclass(frozen=True, slots=True)
class Identity:
    """trap.toml and the certificates beside it, by file name."""

    files: dict[str, bytes] = field(repr=False)


def read_source(path: Path) -> tuple[dict[str, object], dict[str, bytes]]:
    """Settings and certificates of an enrolment: a folder with trap.toml, or that file itself. Raises ConfigError."""
    file = path / TRAP_FILE if path.is_dir() else path
    try:
        settings = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}: give what trap-fleet enrol wrote") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from error
    beside = {}
    for name in SECRETS:
        if isinstance(value := settings.get(name), str):
            try:
                beside[value] = (file.parent / value).read_bytes()
            except OSError as error:
                raise ConfigError(f"{file.parent / value}: can't be read: {error.strerror}") from error
    return settings, beside


def make_identity(
    settings: Mapping[str, object],
    tables: Mapping[str, Mapping[str, object]],
    beside: Mapping[str, bytes],
) -> Identity:
    """What goes onto the card, by the trap's own rules. Raises ConfigError naming the first mistake."""
    own = {name: value for name, value in settings.items() if name not in TABLES and value is not None}
    given = {name: {**_as_table(settings.get(name)), **tables.get(name, {})} for name in TABLES}
    text = _HEAD + "".join(f"{name} = {_as_toml(value)}\n" for name, value in own.items())
    for name, content in given.items():
        lines = [f"{key} = {_as_toml(value)}\n" for key, value in content.items() if value is not None]
        text += f"\n[{name}]\n{''.join(lines)}" if lines else ""
    card = read_card(text.encode())
    if card.faults:
        raise ConfigError(card.faults[0].text)
    return Identity({TRAP_FILE: text.encode(), **beside})


def _as_table(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}


def _as_toml(value: object) -> str:
    """As in JSON, but for the character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
