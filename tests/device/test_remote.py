"""Commands from the collector, carried out once."""

import json
import secrets

import pytest
from structlog.testing import capture_logs
from trap_agent.clock import Moment
from trap_agent.remote import FILE_NAME, Remote
from trap_agent.session import Heard
from trap_contract.messages import Command
from trap_contract.topics import COMMAND

from device.samples import WALL_MS, moment


class WallClock:
    """A clock whose wall can be set, and vouched for or not."""

    def __init__(self) -> None:
        self.wall_ms, self.is_synced = WALL_MS, True

    def now(self) -> Moment:
        return moment(100.0, self.wall_ms, is_synced=self.is_synced)


class Site:
    """A trap that hears commands."""

    def __init__(self, tmp_path) -> None:
        self.folder = tmp_path
        self.clock, self.restarts = WallClock(), 0
        self.pictures: list[str] = []
        self.remote = self.opened()

    def opened(self) -> Remote:
        return Remote(
            "t-1",
            self.folder,
            self.clock,
            status=lambda: "all is well",
            restart=self.restart,
            snapshot=self.snapshot,
        )

    def snapshot(self, name: str) -> str:
        self.pictures.append(name)
        return "a picture comes"

    def restart(self) -> None:
        self.restarts += 1

    def command(self, name: str, **changes: object) -> Command:
        fields = {"trap": "t-1", "id": secrets.token_hex(16), "name": name, "expires_wall_ms": WALL_MS + 60_000}
        return Command(**{**fields, **changes})

    def send(self, command: Command, **heard: object):
        return self.remote.obey(
            Heard(COMMAND, command.model_dump_json().encode(), **{"is_retained": False, "expiry_s": None, **heard})
        )


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


def test_status_tells(site):
    assert site.send(site.command("status")).text == "all is well"


def test_a_snapshot_is_taken_once_under_the_commands_id(site):
    command = site.command("snapshot")
    assert site.send(command).text == site.send(command).text == "a picture comes"
    assert site.pictures == [command.id]


def test_an_unknown_command_is_refused_with_those_that_exist(site):
    answer = site.send(site.command("self_destruct"))
    assert (answer.state, answer.text) == (
        "refused",
        "no command 'self_destruct'; there are status, restart, snapshot",
    )


def test_a_command_that_comes_too_late_is_answered_and_not_carried_out(site):
    answer = site.send(site.command("restart", expires_wall_ms=WALL_MS - 5000))
    assert (answer.state, answer.text) == ("expired", "it came 5 s too late")
    assert site.restarts == 0


def test_without_a_trusted_clock_only_a_message_whose_expiry_the_broker_keeps_is_obeyed(site):
    site.clock.is_synced, site.clock.wall_ms = False, 0
    assert site.send(site.command("restart")).state == "refused"
    assert site.restarts == 0
    assert site.send(site.command("restart"), expiry_s=30).state == "running"
    assert site.restarts == 1


def test_a_command_is_carried_out_once_however_often_it_comes_even_after_a_restart(site):
    command = site.command("restart")
    assert site.send(command).state == "running"
    assert site.send(command).state == "running"
    assert site.restarts == 1
    site.remote = site.opened()
    assert [(answer.id, answer.state) for answer in site.remote.begun()] == [(command.id, "done")]
    assert site.send(command).state == "done"
    assert site.restarts == 1
    assert site.opened().begun() == []


@pytest.mark.parametrize("payload", [b"\xff", b"{}", b'{"trap": "t-1"}'])
def test_what_is_no_command_is_ignored_and_logged(site, payload):
    with capture_logs() as logs:
        assert site.remote.obey(Heard(COMMAND, payload, is_retained=False)) is None
    assert logs[0]["event"] == "command ignored"


def test_a_retained_command_and_one_for_another_trap_are_ignored_and_logged(site):
    with capture_logs() as logs:
        assert site.send(site.command("restart"), is_retained=True) is None
        assert site.send(site.command("restart", trap="t-2")) is None
    assert len(logs) == 2
    assert site.restarts == 0


def test_where_the_folder_can_not_be_written_nothing_is_restarted(site):
    (site.folder / FILE_NAME).with_suffix(".part").mkdir()
    answer = site.send(site.command("restart"))
    assert answer.state == "failed"
    assert "can't be written" in answer.text
    assert site.restarts == 0


def test_the_memory_of_answers_is_bounded(site, monkeypatch):
    monkeypatch.setattr("trap_agent.remote._REMEMBERED", 3)
    for _ in range(9):
        site.send(site.command("snapshot"))
    assert len(json.loads((site.folder / FILE_NAME).read_text())["answers"]) == 3
