"""The field guide says the same in every language, and leaves out nothing that a trap or a collector can say."""

import re
from pathlib import Path
from typing import get_args

import pytest
from trap_agent.card.condition import Code, of_card, of_delivery, of_pictures, of_wifi
from trap_contract.card import Card
from trap_server.alerting.rules import Kind

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDES = ["field-guide.md", "field-guide.es.md", "field-guide.pt.md"]


@pytest.mark.parametrize("name", GUIDES)
def test_every_alert_is_explained(name):
    rows = re.findall(r"^\| `([a-z]+)` \|", (DOCS / name).read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(get_args(Kind))


@pytest.mark.parametrize("name", GUIDES)
def test_every_code_of_the_light_is_explained(name):
    rows = re.findall(r"^\| (\d) \|", (DOCS / name).read_text(), re.MULTILINE)
    assert [int(row) for row in rows] == sorted(int(code) for code in Code if code is not Code.COUNTING)


@pytest.mark.parametrize("name", GUIDES)
def test_every_line_of_the_status_on_the_card_is_explained(name):
    said = [of_card(Card()), of_wifi("net", "wpa_state=COMPLETED", ""), of_pictures("coming", "")]
    said += [of_delivery(state, "") for state in ("connected", "refused", "away", "")]
    lines = {one.words.split(" ")[0] for one in said if one}
    assert len(lines) == 5
    assert set(re.findall(r"^\| `(\S+:)` \|", (DOCS / name).read_text(), re.MULTILINE)) == lines


@pytest.mark.parametrize("name", GUIDES)
def test_every_language_has_the_same_sections_tables_and_pictures(name):
    def shape(text: str) -> list[str]:
        lines = [re.sub(r"\|.*", "|", re.sub(r"!\[.*\]", "!", line))[:40] for line in text.splitlines()]
        return [line.split(" ")[0] if line.startswith("#") else line for line in lines if line[:1] in "#|!"]

    assert shape((DOCS / name).read_text()) == shape((DOCS / GUIDES[0]).read_text())
