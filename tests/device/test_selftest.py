"""Every check against the real thing, good and bad."""

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from brokers import running_broker
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from trap_agent import selftest
from trap_agent.outbox import read_account
from trap_agent.selftest import (
    Result,
    check_broker,
    check_camera,
    check_clock,
    check_disk,
    check_model,
    check_outbox,
    run_checks,
)
from trap_agent.settings import AgentSettings, load_settings
from trap_contract.errors import ConfigError, ZancudoError
from trap_contract.signature import content_digest, sign, signature_file

from device.agents import run_agent
from device.bundles import save_pictures, write_bundle
from device.collectors import tiny_collector
from device.samples import NO_BROKER, SetClock, moment
from device.test_outbox import opened


@pytest.fixture
def settings(bundle, tmp_path):
    pictures = save_pictures(tmp_path / "pictures", 2, "Female", "Male")

    def make(**changes: object) -> AgentSettings:
        flags = {"model": bundle, "source": str(pictures), "trap": "t-1", "tenant": "acme", "threads": 1}
        return load_settings(AgentSettings, {**flags, "state_dir": tmp_path / "state", **changes})

    return make


def test_a_good_camera_shows_a_picture(settings):
    assert "64x64 px" in check_camera(settings(), SetClock())


def test_a_watched_folder_is_tested_by_its_newest_picture_and_nothing_is_used_up(settings, tmp_path):
    folder = tmp_path / "drop"
    watching = settings(source=f"watch:{folder}")
    with pytest.raises(ZancudoError, match="make or mount it"):
        check_camera(watching, SetClock())
    folder.mkdir()
    assert "no picture is there yet" in check_camera(watching, SetClock())
    save_pictures(folder, 2, "Female", "Male")
    assert "64x64 px" in check_camera(watching, SetClock())
    assert not (tmp_path / "state" / "watched.db").exists()


@pytest.mark.parametrize(("value", "fault"), [(0, "dark: check the lamp"), (255, "white: check exposure")])
def test_a_picture_that_shows_nothing_is_said(settings, tmp_path, value, fault):
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((64, 64, 3), value, np.uint8))
    folder = tmp_path / "blank"
    folder.mkdir()
    (tmp_path / "blank.png").rename(folder / "blank.png")
    with pytest.raises(ZancudoError, match=fault):
        check_camera(settings(source=str(folder)), SetClock())


def test_a_camera_that_is_not_there_or_gives_what_can_not_be_read_is_bad(settings, tmp_path):
    with pytest.raises(ZancudoError, match="video93"):
        check_camera(settings(source="camera:93"), SetClock())
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "0.png").write_bytes(b"torn")
    with pytest.raises(ZancudoError, match="can't be read"):
        check_camera(settings(source=str(tmp_path / "torn")), SetClock())


def test_a_model_runs_and_says_whether_it_is_signed(settings, tmp_path):
    bundle = write_bundle(tmp_path / "own.onnx")
    assert "quadrants float32, onnx-cpu" in check_model(settings(model=bundle))
    assert "unsigned" in check_model(settings(model=bundle))
    signed = sign(content_digest(bundle), Ed25519PrivateKey.generate())
    signature_file(bundle).write_text(signed.model_dump_json())
    assert f"signed by key {signed.key[:16]}" in check_model(settings(model=bundle))
    bundle.write_bytes(bundle.read_bytes() + b" ")
    with pytest.raises(ZancudoError):
        check_model(settings(model=bundle))


def test_a_model_that_is_torn_is_bad(settings, tmp_path):
    (tmp_path / "torn.tflite").write_bytes(b"torn" * 100)
    with pytest.raises(ZancudoError, match=r"torn\.tflite: not a TFLite model"):
        check_model(settings(model=tmp_path / "torn.tflite"))


def test_only_a_disciplined_clock_is_good():
    class Disciplined:
        def now(self):
            return moment(0, 1_700_000_000_000, is_synced=True)

    assert check_clock(Disciplined()) == "2023-11-14 22:13:20 UTC, synchronised"
    with pytest.raises(ConfigError, match="nothing vouches for it"):
        check_clock(SetClock())


def test_a_disk_that_takes_what_is_written_is_good_and_is_left_clean(tmp_path):
    assert "written and synced" in check_disk(tmp_path / "new" / "state")
    assert list((tmp_path / "new" / "state").iterdir()) == []


def test_a_folder_that_can_not_be_written_is_bad(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ZancudoError, match="can't be written"):
        check_disk(tmp_path / "file" / "state")
    with pytest.raises(ZancudoError, match=r"can't be written|read-only"):
        check_disk(Path("/proc/sys"))


def test_a_disk_that_is_almost_full_is_bad(tmp_path, monkeypatch):
    monkeypatch.setattr(selftest, "LEAST_FREE_MB", 10**9)
    with pytest.raises(ZancudoError, match="MB are free"):
        check_disk(tmp_path)


def test_an_outbox_that_another_agent_uses_or_another_trap_owns_is_bad(settings, tmp_path):
    with opened(tmp_path / "state"), pytest.raises(ZancudoError, match="another agent uses this outbox: stop it"):
        check_outbox(settings(), SetClock())
    assert check_outbox(settings(), SetClock()) == "0 windows wait there"
    with pytest.raises(ZancudoError, match="holds the windows of trap 't-1'"):
        check_outbox(settings(trap="t-2"), SetClock())


def test_a_window_goes_to_the_collector_and_its_acknowledgement_comes_back(settings, tmp_path):
    with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector:
        text = check_broker(settings(broker=broker.url), SetClock())
        (window,) = collector.stored.values()
    assert "stored and acknowledged in" in text
    assert window.counts is None
    assert (window.effort.observed_s, window.effort.frames_seen) == (0, 0)
    account = read_account(tmp_path / "state")
    assert (account["issued"], account["acknowledged"], account["pending"]) == (1, 1, 0)


def test_without_a_collector_the_window_waits(settings, tmp_path):
    with running_broker(tmp_path) as broker:
        assert "no collector listens" in check_broker(settings(broker=broker.url), SetClock())
    assert read_account(tmp_path / "state")["pending"] == 1


def test_a_collector_that_does_not_acknowledge_is_bad(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(selftest, "ACKNOWLEDGED_WITHIN_S", 0.5)
    with (
        running_broker(tmp_path) as broker,
        tiny_collector(broker.port, acks=False),
        pytest.raises(ZancudoError, match="no acknowledgement within"),
    ):
        check_broker(settings(broker=broker.url), SetClock())


def test_a_denied_topic_is_said(settings, tmp_path):
    (tmp_path / "acl").write_text("topic readwrite mt/v1/acme/t-1/#\ntopic deny mt/v1/acme/t-1/counts\n")
    with (
        running_broker(tmp_path, extra=f"acl_file {tmp_path}/acl\n") as broker,
        pytest.raises(ZancudoError, match="publishing counts is refused: Not auth"),
    ):
        check_broker(settings(broker=broker.url), SetClock())


def test_a_closed_port_is_said_and_so_is_no_broker_at_all(settings):
    with pytest.raises(ZancudoError, match="can't be reached"):
        check_broker(settings(broker=f"mqtt://127.0.0.1:{NO_BROKER}"), SetClock())
    with pytest.raises(ZancudoError, match="none is set"):
        check_broker(settings(), SetClock())


def test_a_failing_check_stops_none_of_the_others():
    def fail(error: Exception) -> str:
        raise error

    checks = {
        "a": partial(fail, ConfigError("do this")),
        "b": lambda: "seen",
        "c": partial(fail, PermissionError(13, "Denied", "/x")),
    }
    assert list(run_checks(checks)) == [
        Result("a", is_good=False, text="do this"),
        Result("b", is_good=True, text="seen"),
        Result("c", is_good=False, text="[Errno 13] Denied: '/x'"),
    ]


def test_the_command_shows_a_row_a_check_and_fails_when_one_is_bad(settings, tmp_path):
    agent = settings()
    flags = ("selftest", "--model", agent.model, "--source", agent.source, "--state-dir", tmp_path / "state")
    table = run_agent(*flags, "--trap", "t-1", "--tenant", "acme")
    assert table.returncode == 1
    for name in ("camera", "model", "clock", "disk", "outbox", "broker"):
        assert name in table.stdout
    assert "give --broker" in table.stdout
    found = json.loads(run_agent(*flags, "--trap", "t-1", "--tenant", "acme", "--json").stdout)
    good = {check["name"]: check["is_good"] for check in found["checks"]}
    assert found["good"] is False
    assert (good["camera"], good["model"], good["disk"], good["outbox"], good["broker"]) == (True,) * 4 + (False,)
