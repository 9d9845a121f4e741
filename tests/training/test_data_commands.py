"""The commands of trap-data as a reader of a small terminal sees them."""

import pytest
from trap_training.data_commands import app
from typer.main import get_command
from typer.testing import CliRunner

COMMANDS = sorted(get_command(app).commands)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_fits_on_one_screen(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = CliRunner().invoke(app, [*command, "--help"], terminal_width=80).stdout
    assert "Usage" in text
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80
