"""The container files keep the house's promises; building them is `make containers`."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
STACK = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_image_ends_without_rights_and_takes_the_digest_of_its_base(file):
    text = file.read_text()
    assert "ARG BASE_DIGEST\n" in text
    assert "FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}}" in text
    last = text.rindex("\nFROM ")
    assert re.search(r"^USER 10001:10001$", text[last:], re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)


def test_the_stack_has_no_plaintext_port_no_rights_and_no_password_in_it():
    ports = [port for service in STACK["services"].values() for port in service.get("ports", [])]
    assert sorted(ports) == ["8765:8765", "8883:8883"]
    for name, service in STACK["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
    text = (ROOT / "docker" / "compose.yaml").read_text()
    assert set(re.findall(r"PASSWORD: (\S+)", text)) == {"${POSTGRES_PASSWORD:?write"}


def test_every_service_that_needs_another_names_one_that_exists():
    services = STACK["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)


def test_what_is_copied_into_an_image_is_sent_to_the_builder():
    ignored = (ROOT / ".dockerignore").read_text()
    for folder in ("contract", "scene", "training", "export", "device", "server", "deploy"):
        assert f"!{folder}\n" in ignored
    assert ".venv" not in ignored.replace("*\n", "")
