"""What an operator reads."""

import json
from collections.abc import Iterator

import pytest
import structlog
from trap_contract.logs import configure_logs, log


@pytest.fixture(autouse=True)
def _fresh_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_an_event_is_one_line_of_json_on_standard_error(capsys: pytest.CaptureFixture[str]):
    configure_logs(as_json=True)
    log.warning("broker lost", reason="two\nlines")
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    said = json.loads(line)
    assert (said["event"], said["level"], said["reason"]) == ("broker lost", "warning", "two\nlines")
    assert said["timestamp"].endswith("Z")


def test_without_a_terminal_an_event_is_one_line_of_pairs(capsys: pytest.CaptureFixture[str]):
    configure_logs(as_json=False)
    log.info("broker connected", broker="mqtt://x:1883", note="two\nlines")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(' level=info event="broker connected" broker=mqtt://x:1883 note=two\\nlines')


def test_debugging_is_not_for_operators(capsys: pytest.CaptureFixture[str]):
    configure_logs(as_json=False)
    log.debug("acknowledged", windows=3)
    assert capsys.readouterr().err == ""
