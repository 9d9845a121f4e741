"""The protocol as documents for other languages, generated from the models: JSON Schema and AsyncAPI 3.

`python -m trap_contract.protocol DIR` writes them; the same models always give the same bytes.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from trap_contract.manifest import Manifest
from trap_contract.messages import (
    Ack,
    Answer,
    Birth,
    Command,
    CountBatch,
    Evidence,
    Health,
    Lost,
    Resend,
    State,
    WantedSettings,
)
from trap_contract.rollout import Desired, Progress
from trap_contract.topics import (
    ACK,
    ANSWER,
    BIRTH,
    COMMAND,
    COUNTS,
    DESIRED,
    EVIDENCE,
    HEALTH,
    LOST,
    NAME_PATTERN,
    PROGRESS,
    RESEND,
    ROOT,
    SETTINGS,
    STATE,
)

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PROTOCOL_VERSION = "1.0.0"
_DESCRIPTION = (
    "MQTT 5, JSON, QoS 1. A broker's PUBACK says nothing about storage: the collector commits the windows of a count "
    "batch to its database and then names them on the ack channel, and only then the trap forgets them. A trap resends "
    "what is not acknowledged; the key (tenant, trap, boot, seq) makes a repetition harmless. What a trap can't "
    "send any more it names on the lost channel, again and again, until an acknowledgement covers them too."
)


@dataclass(frozen=True, slots=True)
class Channel:
    """One leaf of the topic tree: what it carries, who sends it, and how. Every message goes with QoS 1."""

    leaf: str
    message: type[BaseModel]
    sender: Literal["trap", "collector"]
    is_retained: bool

    @property
    def action(self) -> str:
        """What the trap does here; the document is written from the trap's side."""
        return "send" if self.sender == "trap" else "receive"


CHANNELS = (
    Channel(COUNTS, CountBatch, "trap", is_retained=False),
    Channel(ACK, Ack, "collector", is_retained=False),
    Channel(STATE, State, "trap", is_retained=True),
    Channel(BIRTH, Birth, "trap", is_retained=True),
    Channel(HEALTH, Health, "trap", is_retained=False),
    Channel(RESEND, Resend, "collector", is_retained=False),
    Channel(LOST, Lost, "trap", is_retained=False),
    Channel(COMMAND, Command, "collector", is_retained=False),
    Channel(ANSWER, Answer, "trap", is_retained=False),
    Channel(DESIRED, Desired, "collector", is_retained=True),
    Channel(SETTINGS, WantedSettings, "collector", is_retained=True),
    Channel(PROGRESS, Progress, "trap", is_retained=True),
    Channel(EVIDENCE, Evidence, "trap", is_retained=False),
)


def protocol_files() -> dict[str, str]:
    """Every document by its file name."""
    schemas = {channel.leaf: channel.message for channel in CHANNELS} | {"manifest": Manifest}
    documents = {f"{name}.schema.json": json_schema(model) for name, model in schemas.items()}
    return {name: _text(content) for name, content in {**documents, "asyncapi.json": asyncapi()}.items()}


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema (2020-12) of a message, as a sender must write it; readers ignore fields they do not know."""
    return {"$schema": _DIALECT, **model.model_json_schema(mode="validation")}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3 document: channels of the topic tree, their messages, and what the trap does with each."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Zancudo trap protocol",
            "version": _PROTOCOL_VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "AGPL-3.0-or-later"},
        },
        "defaultContentType": "application/json",
        "channels": {channel.leaf: _channel(channel) for channel in CHANNELS},
        "operations": {f"{channel.action}_{channel.leaf}": _operation(channel) for channel in CHANNELS},
        "components": {"messages": {channel.message.__name__: _message(channel.message) for channel in CHANNELS}},
    }


def _channel(channel: Channel) -> dict[str, Any]:
    name = channel.message.__name__
    return {
        "address": f"{ROOT}/{{tenant}}/{{trap}}/{channel.leaf}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {part: {"description": f"{part} name, matching ^{NAME_PATTERN}$"} for part in ("tenant", "trap")},
    }


def _operation(channel: Channel) -> dict[str, Any]:
    """QoS and retain as the MQTT binding has them; AsyncAPI gives an operation no other place for them."""
    return {
        "action": channel.action,
        "channel": {"$ref": f"#/channels/{channel.leaf}"},
        "bindings": {"mqtt": {"qos": 1, "retain": channel.is_retained, "bindingVersion": "0.2.0"}},
    }


def _message(model: type[BaseModel]) -> dict[str, Any]:
    return {
        "name": model.__name__,
        "summary": (model.__doc__ or "").strip().splitlines()[0],
        "contentType": "application/json",
        "payload": _embedded(json_schema(model), model.__name__),
    }


def _embedded(schema: Any, name: str) -> Any:
    """A schema inside another document: its references begin at the document's root, not at its own."""
    if isinstance(schema, list):
        return [_embedded(part, name) for part in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {key: _embedded(value, name) for key, value in schema.items() if key != "$schema"}
    if isinstance(moved.get("$ref"), str):
        moved["$ref"] = moved["$ref"].replace("#/", f"#/components/messages/{name}/payload/", 1)
    return moved


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def main(folder: Path) -> None:
    """Write every document into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in protocol_files().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m trap_contract.protocol DIR")
    main(Path(sys.argv[1]))
