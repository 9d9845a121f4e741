"""trap.toml on a trap's card: the agent's settings, and what the board itself must know (Wi-Fi, time, remote access).

A card is written by people. So reading one never fails: what is wrong is left out and named, by line, and the trap
makes do with the rest.
"""

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from trap_contract.settings import TrapFields
from trap_contract.toml_lines import line_of

TRAP_FILE: Final = "trap.toml"
MOST_BYTES: Final = 64 * 1024
SECRETS: Final = ("ca", "cert", "key", "trust")
"""Settings that name a file beside trap.toml."""

_NEEDED = {
    "trap": 'add a line such as trap = "yard-03"',
    "broker": 'add a line such as broker = "mqtt://192.168.1.10"',
}
_FORMS = {
    "trap": "use 1 to 36 of a-z, 0-9 and '-', beginning with a letter or digit",
    "tenant": "use 1 to 36 of a-z, 0-9 and '-', beginning with a letter or digit",
    "country": "write two capital letters, as in ES",
    "key": "write the one line of a public key, as it stands in id_ed25519.pub",
    "ntp": "write names or addresses of time servers",
}
_FIXED = ("state_dir",)
_BARE = re.compile(r"line (\d+)")
_TOO_BIG = f"is larger than {MOST_BYTES // 1024} KB: this is no trap.toml"


def _passphrase(text: str) -> str:
    is_key = re.fullmatch("[0-9a-fA-F]{64}", text)
    if not is_key and not re.fullmatch("[ -~]{8,63}", text):
        raise ValueError("a Wi-Fi password has 8 to 63 characters, without accents")
    return text


def _network_name(text: str) -> str:
    if not 1 <= len(text.encode()) <= 32 or not text.isprintable():
        raise ValueError("a Wi-Fi name has 1 to 32 characters")
    return text


def _file_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text):
        raise ValueError("must be the name of a file beside trap.toml, as in ca.pem")
    return text


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class _Settings(TrapFields):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Wifi(_Table):
    """The network that the trap joins; without `password` an open one."""

    ssid: Annotated[str, AfterValidator(_network_name)]
    password: Annotated[str, AfterValidator(_passphrase)] | None = Field(default=None, repr=False)
    country: Annotated[str, Field(pattern="^[A-Z]{2}$", description="ISO 3166, as in ES: which channels are allowed")]
    hidden: bool = False


class Network(_Table):
    """Where the time comes from, if not from Debian's pool."""

    ntp: Annotated[tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")], ...], Field(max_length=8)] = ()


class Ssh(_Table):
    """Whose public key opens the trap over SSH; without one nobody can."""

    key: Annotated[
        str, Field(pattern=r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+|sk-\S+) [A-Za-z0-9+/=]{40,}( [ -~]*)?$")
    ]


TABLES: Final[dict[str, type[_Table]]] = {"wifi": Wifi, "network": Network, "ssh": Ssh}


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One mistake and the line it is in."""

    line: int
    text: str

    def __str__(self) -> str:
        """As a person reads it."""
        return f"line {self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Card:
    """What is right on a card: settings of the agent by name, tables, and what is wrong."""

    settings: dict[str, object] = field(default_factory=dict)
    wifi: Wifi | None = None
    network: Network | None = None
    ssh: Ssh | None = None
    faults: tuple[Fault, ...] = ()


def read_card(data: bytes) -> Card:
    """Read trap.toml; nothing is raised."""
    try:
        if len(data) > MOST_BYTES:
            return Card(faults=(Fault(1, _TOO_BIG),))
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        found = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return Card(faults=(Fault(line, "is not UTF-8 text: save it as plain text"),))
    except tomllib.TOMLDecodeError as error:
        return Card(faults=(_syntax_fault(str(error), text),))
    except RecursionError:
        return Card(faults=(Fault(1, "is nested too deeply"),))
    return _checked(text, found)


def _checked(text: str, found: dict[str, Any]) -> Card:
    tables = {name: found.pop(name) for name in TABLES if name in found}
    faults = [fault for name, content in tables.items() for fault in _table_faults(text, name, content)]
    wrong = _setting_faults(found)
    faults += [Fault(line_of(text, name), message) for name, message in wrong.items()]
    faults += [Fault(1, f"{name} is not set: {what}") for name, what in _NEEDED.items() if name not in found]
    right = {name: value for name, value in found.items() if name not in wrong}
    whole = {
        name: TABLES[name](**content) for name, content in tables.items() if not _table_faults(text, name, content)
    }
    return Card(right, **whole, faults=tuple(sorted(set(faults))))  # type: ignore[arg-type]


def _setting_faults(found: dict[str, Any]) -> dict[str, str]:
    """What is wrong with each wrong setting."""
    faults = {name: f"{name} is set by the image: take the line away" for name in _FIXED if name in found}
    for name in SECRETS:
        try:
            _file_name(str(found.get(name, "file")))
        except ValueError as error:
            faults[name] = f"{name}: {error}"
    try:
        _Settings.model_validate({"model": "m", "source": "s", **found})
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            faults.setdefault(str(fault["loc"][0]), _explained(fault, [*TrapFields.model_fields, *TABLES]))
    return faults


def _table_faults(text: str, name: str, content: object) -> list[Fault]:
    if not isinstance(content, dict):
        return [Fault(line_of(text, name), f"{name} is a table: write [{name}] in a line of its own")]
    try:
        TABLES[name].model_validate(content)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        keys = list(TABLES[name].model_fields)
        return [Fault(line_of(text, str(one["loc"][0]), name), f"{name}.{_explained(one, keys)}") for one in faults]
    return []


def _explained(fault: Any, known: list[str]) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, 1)
        return f"{name} is not known here" + (f", did you mean {near[0]}?" if near else "")
    if fault["type"] == "missing":
        return f"{name} is not set"
    if fault["type"] == "string_pattern_mismatch" and name in _FORMS:
        return f"{name}: {_FORMS[name]}"
    return f"{name}: {fault['msg'].removeprefix('Value error, ')}"


def _syntax_fault(message: str, text: str) -> Fault:
    """The parser says "(at line 7, column 3)" or "(at end of document)"."""
    place = _BARE.search(message)
    line = int(place[1]) if place else max(1, len(text.splitlines()))
    return Fault(line, f"is not TOML: {message.split(' (at ', maxsplit=1)[0]}: is a quotation mark missing?")
