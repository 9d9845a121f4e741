"""What a count means is chosen once, and said with every window and at every connect."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from trap_agent.agent import StopRequest, print_windows
from trap_agent.settings import AgentSettings, load_settings

from device.bundles import save_pictures


def windows(bundle: Path, tmp_path: Path, semantics: str) -> list[dict[str, Any]]:
    """The windows in which ten pictures fall: the board is empty in the first three, then a male sits on it."""
    save_pictures(tmp_path / "board", 10, "Male")
    save_pictures(tmp_path / "board", 3, None)
    flags = {"model": bundle, "source": str(tmp_path / "board"), "fps": 1.0, "window": 5.0}
    settings = load_settings(AgentSettings, {**flags, "semantics": semantics, "state_dir": tmp_path / "state"})
    out = io.StringIO()
    print_windows(settings, StopRequest(), out, every_frame=False)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    return [window for window in found if window["counts"] is not None]  # the last may begin after the last picture


@pytest.mark.parametrize(("semantics", "males"), [("arrivals", 1), ("catch_delta", 1)])
def test_new_individuals_add_up_over_windows_and_are_counted_once(
    bundle: Path, tmp_path: Path, semantics: str, males: int
) -> None:
    found = windows(bundle, tmp_path, semantics)
    assert {window["semantics"] for window in found} == {semantics}
    assert sum(window["counts"]["Male"] for window in found) == males
    assert all(set(window["counts"]) == set(found[0]["occupancy"]) for window in found)


def test_occupancy_is_what_is_in_the_picture(bundle: Path, tmp_path: Path) -> None:
    found = windows(bundle, tmp_path, "occupancy")
    assert {window["semantics"] for window in found} == {"occupancy"}
    assert found[-1]["counts"]["Male"] == 1


def test_a_catch_is_remembered_over_a_restart(bundle: Path, tmp_path: Path) -> None:
    windows(bundle, tmp_path, "catch_delta")
    again = windows(bundle, tmp_path, "catch_delta")
    assert sum(window["counts"]["Male"] for window in again) == 0
