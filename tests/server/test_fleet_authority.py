"""The fleet's folder: what is in it, who may read it, and what it refuses."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import ConfigError, StoreError
from trap_contract.topics import TrapAddress
from trap_server.fleet.authority import open_fleet
from trap_server.fleet.broker_rules import access_rules
from trap_server.fleet.certificates import new_authority, new_key, sign_certificate, trap_name
from trap_server.fleet.overview import as_json
from trap_server.fleet.private_files import write_private
from trap_server.fleet.traps import Trap, offer_token

from server.fleets import PASSPHRASE, make_fleet, now, reopened

ADDRESS = TrapAddress("demo", "a")


@pytest.fixture
def fleet(tmp_path):
    return make_fleet(tmp_path / "f")


@pytest.fixture
def trap(fleet):
    return Trap(fleet, fleet.unlock(PASSPHRASE, now()), ADDRESS)


def certificates(folder: Path) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(file.read_bytes()) for file in folder.rglob("*.pem") if file.stem != "crl"]


def test_no_file_can_be_read_by_others_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        fleet = make_fleet(tmp_path / "f")
        Trap(fleet, fleet.unlock(PASSPHRASE, now()), ADDRESS).enrol(30, now())
        offer_token(fleet, TrapAddress("demo", "b"), "token", now(), expires=now() + timedelta(hours=1), days=30)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in fleet.folder.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {path.name for path, mode in modes.items() if path.is_dir() and mode != 0o700} == {"broker"}
    assert stat.S_IMODE((fleet.folder / "broker").stat().st_mode) == 0o711  # its files are named, not listed


def test_a_private_file_is_never_open_on_its_way_and_leaves_nothing_aside(tmp_path, monkeypatch):
    seen = []
    real = os.fsync

    def look(handle):
        seen.append(stat.S_IMODE(os.fstat(handle).st_mode))
        real(handle)

    monkeypatch.setattr(os, "fsync", look)
    before = os.umask(0)
    try:
        write_private(tmp_path / "key", b"secret")
    finally:
        os.umask(before)
    assert seen == [0o600]
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_an_authority_is_never_overwritten(fleet):
    key = (fleet.folder / "authority" / "ca.key").read_bytes()
    with pytest.raises(ConfigError, match="not empty"):
        make_fleet(fleet.folder)
    assert (fleet.folder / "authority" / "ca.key").read_bytes() == key


def test_the_authority_opens_with_its_passphrase_only(fleet):
    assert b"ENCRYPTED" in (fleet.folder / "authority" / "ca.key").read_bytes()
    with pytest.raises(ConfigError, match="passphrase"):
        fleet.unlock(PASSPHRASE + ".", now())
    assert fleet.unlock(PASSPHRASE, now()).key.public_key() == fleet.authority.public_key()


def test_an_authority_that_others_can_read_is_refused(fleet):
    (fleet.folder / "authority" / "ca.key").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        fleet.unlock(PASSPHRASE, now())


def test_an_expired_authority_is_named_and_signs_nothing(tmp_path):
    fleet = make_fleet(tmp_path / "f", at=datetime(2000, 1, 1, tzinfo=UTC))
    with pytest.raises(ConfigError, match=r"authority expired on 2019-12-27.*trap-fleet init"):
        fleet.unlock(PASSPHRASE, now())


def test_everything_is_p256_and_trusted_by_a_trap_that_boots_in_1970(fleet, trap):
    trap.enrol(30, now())
    found = certificates(fleet.folder)
    assert len(found) > 5
    assert all(isinstance(one.public_key().curve, SECP256R1) for one in found)
    assert {one.not_valid_before_utc for one in found} == {datetime(1970, 1, 1, tzinfo=UTC)}


def test_no_certificate_outlives_its_authority():
    signer = new_authority("brief", now(), 10)
    one = sign_certificate(signer, "client", "demo/a", new_key().public_key(), now() + timedelta(days=99))
    assert one.not_valid_after_utc == signer.certificate.not_valid_after_utc


def test_a_card_has_what_an_agent_needs_and_the_key_fits(fleet, trap):
    trap.enrol(30, now())
    assert sorted(file.name for file in trap.card.iterdir()) == ["ca.pem", "trap.key", "trap.pem", "trap.toml"]
    assert 'broker = "mqtts://127.0.0.1:8883"' in (trap.card / "trap.toml").read_text()


def test_a_trap_is_enrolled_once(fleet, trap):
    trap.enrol(30, now())
    with pytest.raises(ConfigError, match="enrolled already"):
        trap.enrol(30, now())
    with pytest.raises(ConfigError, match="enrolled already"):
        offer_token(fleet, ADDRESS, "token", now(), expires=now() + timedelta(hours=1), days=30)


def test_a_trap_with_an_open_token_is_not_enrolled_beside_it(fleet, trap):
    offer_token(fleet, ADDRESS, "token", now(), expires=now() + timedelta(hours=1), days=30)
    with pytest.raises(ConfigError, match="join token"):
        trap.enrol(30, now())
    assert trap.revoke(now()) == 0
    trap.enrol(30, now())


def test_a_token_lies_on_the_card_and_nowhere_else(fleet):
    token = "a-secret-that-is-easy-to-find"
    offer_token(fleet, ADDRESS, token, now(), expires=now() + timedelta(hours=1), days=30)
    holders = [file.name for file in fleet.folder.rglob("*") if file.is_file() and token.encode() in file.read_bytes()]
    assert holders == ["join.token"]
    assert (fleet.folder / "traps" / "demo" / "a" / "join.svg").read_text().startswith("<?xml")


def test_only_an_enrolled_trap_is_rotated_or_revoked(trap):
    with pytest.raises(ConfigError, match="not enrolled"):
        trap.rotate(30, now())
    with pytest.raises(ConfigError, match="not enrolled"):
        trap.revoke(now())
    trap.enrol(30, now())
    assert trap.revoke(now()) == 1
    with pytest.raises(ConfigError, match="enrol it anew"):
        trap.rotate(30, now())


def test_the_revocation_list_names_what_was_revoked_and_nothing_that_has_expired(fleet, trap):
    serial = int(trap.enrol(30, now()).serial, 16)
    trap.revoke(now())
    crl = x509.load_pem_x509_crl((fleet.folder / "broker" / "crl.pem").read_bytes())
    assert [one.serial_number for one in crl] == [serial]
    assert crl.is_signature_valid(fleet.authority.public_key())
    assert reopened(fleet).registry.revocations(now() + timedelta(days=31)) == []


def test_what_was_done_is_found_by_the_next_command(fleet, trap):
    trap.enrol(30, now())
    assert reopened(fleet).registry == fleet.registry


def test_what_expires_soon_and_what_to_do_is_said(fleet, trap):
    trap.enrol(3, now())
    assert ["trap-fleet rotate demo/a" in text for text in as_json(fleet, now())["warnings"]] == [True]
    late = as_json(fleet, now() + timedelta(days=11 * 365))["warnings"]
    assert any("revocation list expired" in text and "refuses everyone" in text for text in late)
    assert {one["status"] for one in as_json(fleet, now() + timedelta(days=4))["certificates"]} == {"valid", "expired"}


def test_no_overview_shows_a_digest_or_a_key(fleet, trap):
    offer_token(fleet, TrapAddress("demo", "b"), "token", now(), expires=now() + timedelta(hours=1), days=30)
    trap.enrol(30, now())
    text = json.dumps(as_json(fleet, now()))
    assert "PRIVATE" not in text
    assert fleet.registry.tokens[0].digest not in text


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"hosts": []}', "\x00"])
def test_a_damaged_registry_is_said_with_its_place(fleet, text):
    (fleet.folder / "authority" / "registry.json").write_text(text)
    with pytest.raises(StoreError, match=r"registry\.json: damaged"):
        reopened(fleet)


def test_a_folder_without_a_fleet_is_said(tmp_path):
    with pytest.raises(ConfigError, match="no fleet"), open_fleet(tmp_path):
        pass


@given(st.text(max_size=50))
def test_a_name_that_a_topic_can_not_hold_never_reaches_a_path_or_a_rule(text):
    try:
        name = trap_name(TrapAddress(text, "a"))
    except ConfigError:
        return
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-/")
    assert name.count("/") == 1
    assert access_rules([], [name]).count("\n") == access_rules([]).count("\n") + 2


def test_names_too_long_for_a_certificate_are_refused():
    assert len(trap_name(TrapAddress("t" * 36, "a" * 27))) == 64
    with pytest.raises(ConfigError, match="shorter"):
        trap_name(TrapAddress("t" * 36, "a" * 28))
