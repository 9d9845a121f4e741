"""The published protocol is what the code says, and its golden examples hold for both."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from pydantic import BaseModel
from trap_contract.manifest import Manifest, parse_manifest
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
    Window,
    parse_message,
)
from trap_contract.protocol import CHANNELS, asyncapi, json_schema, protocol_files
from trap_contract.rollout import Desired, Progress
from trap_contract.topics import LEAVES, TrapAddress, parse_topic

from contract.windows import windows

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "docs" / "protocol"
EXAMPLES = ROOT / "contract" / "examples"
MODELS: dict[str, type[BaseModel]] = {
    "counts_live": CountBatch,
    "counts_backlog": CountBatch,
    "ack": Ack,
    "state": State,
    "birth": Birth,
    "health": Health,
    "resend": Resend,
    "lost": Lost,
    "command": Command,
    "answer": Answer,
    "desired": Desired,
    "settings": WantedSettings,
    "progress": Progress,
    "evidence": Evidence,
    "manifest": Manifest,
}


def example(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return content


def published(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((PUBLISHED / f"{name.split('_', maxsplit=1)[0]}.schema.json").read_text())
    return content


def test_the_published_protocol_is_what_the_code_generates() -> None:
    found = {file.name: file.read_text() for file in PUBLISHED.glob("*.json")}
    assert found == protocol_files(), "docs/protocol is out of date: run make schemas"


def test_the_command_writes_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "trap_contract.protocol", tmp_path], check=True, timeout=60)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == protocol_files()


def test_every_example_has_a_model() -> None:
    assert {file.stem for file in EXAMPLES.glob("*.json")} == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_an_example_holds_for_the_model_and_survives_it(name: str) -> None:
    parsed = MODELS[name].model_validate(example(name))
    assert json.loads(parsed.model_dump_json()) == example(name)


@pytest.mark.parametrize("name", MODELS)
def test_an_example_holds_for_the_published_schema(name: str) -> None:
    jsonschema.Draft202012Validator(published(name)).validate(example(name))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "manifest"])
def test_an_example_with_fields_of_the_future_is_still_read(name: str) -> None:
    content = example(name)
    future = content | {"battery": {"volts": 3.7}}
    jsonschema.Draft202012Validator(published(name)).validate(future)
    assert parse_message(MODELS[name], json.dumps(future).encode()) == MODELS[name].model_validate(content)


def test_a_manifest_with_fields_of_the_future_is_still_read() -> None:
    future = example("manifest") | {"signature": "later"}
    assert parse_manifest(json.dumps(future), "m.tflite") == Manifest.model_validate(example("manifest"))


def test_the_birth_of_a_trap_that_does_not_know_of_sites_is_still_read() -> None:
    earlier = {name: value for name, value in example("birth").items() if name != "site"}
    jsonschema.Draft202012Validator(published("birth")).validate(earlier)
    assert parse_message(Birth, json.dumps(earlier).encode()).site == ""


def test_the_examples_show_live_and_backlog_zeros_gaps_and_a_blind_window() -> None:
    live, backlog = (CountBatch.model_validate(example(name)) for name in ("counts_live", "counts_backlog"))
    assert (live.backlog, backlog.backlog) == (False, True)
    every: list[Window] = [*live.windows, *backlog.windows]
    assert any(window.counts is None and window.effort.gaps for window in every)
    assert any(window.counts and not any(window.counts.values()) for window in every)
    assert len({window.boot for window in every}) == 2


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("counts_live", {"windows": []}),
        ("counts_live", {"trap": "Roof 3"}),
        ("ack", {"ranges": [{"boot": "short", "first": 1, "last": 1}]}),
        ("state", {"state": "asleep"}),
        ("evidence", {"jpeg": "A" * 200_000}),
        ("birth", {"semantics": "guess"}),
        ("manifest", {"threshold": 2}),
    ],
)
def test_what_the_model_refuses_the_published_schema_refuses(name: str, change: dict[str, Any]) -> None:
    wrong = example(name) | change
    with pytest.raises(ValueError, match=next(iter(change))):
        MODELS[name].model_validate(wrong)
    assert not jsonschema.Draft202012Validator(published(name)).is_valid(wrong)


@given(windows())
def test_every_window_that_the_code_sends_holds_for_the_schema(window: Window) -> None:
    batch = CountBatch(trap="roof-3", sent_wall_ms=1, windows=(window,))
    jsonschema.Draft202012Validator(json_schema(CountBatch)).validate(json.loads(batch.model_dump_json()))


@pytest.mark.parametrize("name", MODELS)
def test_a_published_schema_is_a_valid_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(published(name))


def test_asyncapi_has_every_leaf_at_its_address() -> None:
    channels = asyncapi()["channels"]
    assert list(channels) == list(LEAVES)
    for leaf, channel in channels.items():
        topic = channel["address"].format(tenant="field", trap="roof-3")
        assert parse_topic(topic) == (TrapAddress("field", "roof-3"), leaf)


def test_asyncapi_says_who_sends_and_what_is_retained() -> None:
    found = {
        name: (operation["bindings"]["mqtt"]["qos"], operation["bindings"]["mqtt"]["retain"])
        for name, operation in asyncapi()["operations"].items()
    }
    retained = dict.fromkeys(
        ("send_state", "send_birth", "receive_desired", "receive_settings", "send_progress"), (1, True)
    )
    once = (
        "send_counts",
        "receive_ack",
        "send_health",
        "receive_resend",
        "send_lost",
        "receive_command",
        "send_answer",
        "send_evidence",
    )
    assert found == retained | dict.fromkeys(once, (1, False))


def test_every_reference_in_asyncapi_leads_somewhere() -> None:
    document = asyncapi()
    references = list(_references(document))
    assert len(references) > 2 * len(CHANNELS)
    for reference in references:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


@pytest.mark.parametrize("name", [name for name in MODELS if name != "manifest"])
def test_a_payload_inside_asyncapi_accepts_the_example(name: str) -> None:
    document = asyncapi()
    reference = {"$ref": f"#/components/messages/{MODELS[name].__name__}/payload", "components": document["components"]}
    jsonschema.Draft202012Validator(reference).validate(example(name))


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for part in value for found in _references(part)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for part in value.values() for found in _references(part)]
