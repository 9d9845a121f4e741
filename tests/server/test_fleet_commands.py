"""The command `trap-fleet`, from an empty folder to a trap that is gone."""

import json
import os
import re

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st
from trap_contract.errors import ConfigError
from trap_contract.topics import NAME_PATTERN
from trap_server.fleet.passphrase import VARIABLE, read_passphrase
from trap_server.fleet_commands import app
from typer.testing import CliRunner

from server.fleets import PASSPHRASE, make_fleet, running_fleet
from server.test_fleet_enrolment import make_request

COMMANDS = ("init", "enrol", "redeem", "revoke", "rotate", "collector", "renew", "list")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command in a fleet's folder, with its passphrase in the environment; what it printed."""
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    monkeypatch.setenv("TRAP_FLEET_DIR", str(tmp_path / "f"))

    def run(*arguments: object) -> str:
        done = CliRunner().invoke(app, list(map(str, arguments)))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen(command):
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80"}).output
    assert 5 < len(shown.splitlines()) <= 32


def test_a_fleet_is_made_by_one_command_and_nothing_secret_is_printed(run, tmp_path):
    told = run("init", tmp_path / "f", "--host", "broker.example", "--broker-user", "root")
    told += run("enrol", "a") + run("enrol", "b", "--token", "--json") + run("list") + run("list", "--json")
    traps = tmp_path / "f" / "traps" / "default"
    assert PASSPHRASE not in told
    assert (traps / "b" / "join.token").read_text().strip() not in told
    assert "PRIVATE" not in told
    assert load_pem_private_key((traps / "a" / "trap.key").read_bytes(), None)
    assert {one["status"] for one in json.loads(run("list", "--json"))["certificates"]} == {"valid"}


def test_a_trap_that_made_its_own_key_gets_its_certificate_once(run, tmp_path):
    make_fleet(tmp_path / "f")
    run("enrol", "a", "--token")
    (tmp_path / "csr").write_bytes(make_request("default/a"))
    token = tmp_path / "f" / "traps" / "default" / "a" / "join.token"
    run("redeem", tmp_path / "csr", "--token-file", token, "--out", tmp_path / "trap.pem")
    assert (tmp_path / "trap.pem").read_text().startswith("-----BEGIN CERTIFICATE")
    with pytest.raises(ConfigError, match="is used"):
        run("redeem", tmp_path / "csr", "--token-file", token, "--out", tmp_path / "again.pem")


def test_rotate_revoke_renew_and_a_second_collector_work_on_a_running_broker(run, tmp_path):
    with running_fleet(tmp_path / "f") as running:
        run("enrol", "a")
        run("rotate", "a", "--at-once")
        run("collector", "second")
        run("renew", "crl")
        run("renew", "broker")
        with running.peer(tmp_path / "f" / "traps" / "default" / "a"):
            pass
        second = tmp_path / "f" / "collectors" / "second"
        with running.peer(second, "collector") as collector:
            assert collector.publish("mt/v1/default/a/ack") != "Not authorized"
        assert json.loads(run("revoke", "a", "--json")) == {"trap": "default/a", "revoked": 1}
        assert not running.peer(tmp_path / "f" / "traps" / "default" / "a").knock()


NAMES = st.one_of(st.text(max_size=20), st.sampled_from(["../x", "a/b", "/etc", ".", "..", "a\n", "#", "+", "%u", "A"]))


@settings(max_examples=40, deadline=None)
@given(NAMES.filter(lambda name: not re.fullmatch(NAME_PATTERN, name)))
def test_a_name_outside_the_contract_makes_no_file(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp() / "names"
    if not folder.exists():
        make_fleet(folder)
    before = sorted(folder.rglob("*"))
    for arguments in (["enrol", "--token", "--", name], ["enrol", "a", "--token", f"--tenant={name}"]):
        done = CliRunner().invoke(app, arguments, env={"TRAP_FLEET_DIR": str(folder)})
        assert isinstance(done.exception, ConfigError), done.output
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("host", ["", "a b", "-x", "x\ny", "mqtts://x", "x/..", "a..b", "x" * 64])
def test_a_host_that_can_not_be_one_is_refused(run, tmp_path, host):
    with pytest.raises(ConfigError, match="not a host name"):
        run("init", tmp_path / "f", f"--host={host}")
    assert not (tmp_path / "f").exists()


def test_a_user_that_is_not_there_is_refused(run, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    with pytest.raises(ConfigError, match="no such user"):
        run("init", tmp_path / "f", "--host", "h", "--broker-user", "nobody-of-this-name")


def test_there_is_no_default_passphrase(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=VARIABLE):
        read_passphrase(None)
    monkeypatch.setenv(VARIABLE, "short")
    with pytest.raises(ConfigError, match="shorter than 12"):
        read_passphrase(None, is_new=True)


def test_a_passphrase_file_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_passphrase(file)
    file.chmod(0o600)
    assert read_passphrase(file) == PASSPHRASE
