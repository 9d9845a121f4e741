"""Bundles on disk: installed, checked, on trial, and rolled back after whatever end."""

import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest
from brokers import running_broker
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from trap_agent import slots as slots_module
from trap_agent.agent import StopRequest, deliver_windows
from trap_agent.settings import AgentSettings, load_settings
from trap_agent.slots import SlotFolder, TrialSink, begin, check_plausible, load_bundle, roll_back
from trap_agent.trial import GOOD_WINDOWS, MOST_STARTS
from trap_contract.bundle import embed_manifest
from trap_contract.detector import Detector
from trap_contract.errors import BundleError, ConfigError, DataError, ZancudoError
from trap_contract.golden import recorded
from trap_contract.manifest import Golden, GoldenBox
from trap_contract.messages import Effort, Latency
from trap_contract.signature import content_digest, sign, signature_file

from device.bundles import paint, save_pictures, write_bundle
from device.collectors import tiny_collector
from device.samples import draft

MODELS = Path(__file__).resolve().parents[2] / "models"
SEEN = Effort(observed_s=1, frames_seen=10, frames_analysed=10)


def start_and_die(folder: SlotFolder) -> None:
    """A start of the agent in a process of its own that is killed at once."""
    process = os.fork()
    if process == 0:
        try:
            begin(folder)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.drafts = []

    def accept(self, closed) -> None:
        self.drafts.append(closed)


@pytest.fixture(scope="module")
def boards():
    """Drawing them takes longer than everything else."""
    return slots_module.drawn_boards()


@pytest.fixture(autouse=True)
def _drawn_once(monkeypatch, boards):
    monkeypatch.setattr(slots_module, "drawn_boards", lambda: boards)


@pytest.fixture
def folder(tmp_path):
    return SlotFolder(tmp_path / "state")


@pytest.fixture
def old(tmp_path):
    return write_bundle(tmp_path / "old.onnx")


@pytest.fixture
def new(tmp_path):
    return write_bundle(tmp_path / "new.onnx")


def watch(folder: SlotFolder, count: int, ms: float) -> tuple[Kept, list[str]]:
    kept, restarts = Kept(), []
    sink = TrialSink(kept, folder, lambda: restarts.append("now"))
    for _ in range(count):
        sink.accept(partial(draft(), effort=SEEN, latency_ms=Latency(p50=ms, p95=ms)))
    return kept, restarts


def pass_trial(folder: SlotFolder, bundle: Path, ms: float = 10.0) -> None:
    folder.install(bundle, None)
    begin(folder)
    watch(folder, GOOD_WINDOWS, ms)
    assert folder.read().trial is None


def test_without_a_bundle_the_next_step_is_said(folder):
    with pytest.raises(BundleError, match="run trap-agent models install FILE"):
        begin(folder)


def test_an_installed_bundle_is_a_copy_that_counts_and_passes_its_trial(folder, old):
    text = folder.install(old, None)
    assert "unsigned; has no golden pictures; ran on 3 drawn boards" in text
    assert begin(folder).read_bytes() == old.read_bytes()
    old.unlink()
    kept, restarts = watch(folder, GOOD_WINDOWS, 10.0)
    assert (len(kept.drafts), restarts) == (GOOD_WINDOWS, [])
    assert folder.read().outcome == "old.onnx passed its trial"


def test_a_slow_bundle_is_rolled_back_the_window_is_kept_and_the_agent_restarted(folder, old, new):
    pass_trial(folder, old)
    folder.install(new, None)
    assert begin(folder).name == "new.onnx"
    kept, restarts = watch(folder, 1, 1000.0)
    assert (len(kept.drafts), restarts) == (1, ["now"])
    assert begin(folder).name == "old.onnx"


def test_a_bundle_that_kills_the_agent_at_every_start_is_rolled_back(folder, old, new):
    pass_trial(folder, old)
    folder.install(new, None)
    for _ in range(MOST_STARTS):
        assert folder.active_bundle().name == "new.onnx"
        start_and_die(folder)
    assert begin(folder).name == "old.onnx"
    assert "4 starts did not lead to 10 good windows" in folder.read().outcome


def test_a_power_cut_between_any_two_steps_of_an_installation_leaves_a_bundle_that_runs(folder, old, new, monkeypatch):
    pass_trial(folder, old)
    steps = ("_copied", "_checked_signature", "check_plausible", "installed")
    for name in steps:
        with monkeypatch.context() as patch:
            patch.setattr(slots_module, name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                folder.install(new, None)
        assert begin(folder).read_bytes() == old.read_bytes()
        assert folder.read().trial is None
    folder.install(new, None)
    assert begin(folder).name == "new.onnx"


def test_a_second_installation_waits_for_the_trial_or_a_roll_back(folder, old, new):
    pass_trial(folder, old)
    folder.install(new, None)
    with pytest.raises(ConfigError, match="a trial is running"):
        folder.install(old, None)
    assert "rolled back: asked for by hand" in roll_back(folder).outcome
    with pytest.raises(ConfigError, match="no other bundle"):
        roll_back(folder)
    folder.install(new, None)


def with_golden(bundle: Path, **changes: object) -> Path:
    """The bundle with a golden picture of one Female and one Male, its first box as told by `changes`."""
    detector = Detector.load(bundle)
    (golden,) = recorded(detector, [paint("Female", "Male")])
    boxes = (golden.found[0].model_copy(update=changes), *golden.found[1:])
    altered = golden.model_copy(update={"found": boxes})
    embed_manifest(bundle, detector.manifest.model_copy(update={"golden": (altered,)}))
    return bundle


def test_a_bundle_that_finds_in_its_golden_pictures_what_it_found_when_built_is_installed(folder, new):
    assert "finds what it should in 1 golden pictures" in folder.install(with_golden(new), None)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": 2}, "2 insects expected, 2 found, of the sure ones 1 lost and 1 new"),
        ({"box": (40.0, 40.0, 60.0, 60.0)}, "1 lost and 1 new"),
    ],
)
def test_a_bundle_that_finds_something_else_in_them_is_refused_and_the_active_one_stays(folder, old, new, change, told):
    pass_trial(folder, old)
    with pytest.raises(BundleError, match=f"golden picture 1 of 1: .*{told}"):
        folder.install(with_golden(new, **change), None)
    assert begin(folder).name == "old.onnx"


def test_a_box_near_the_threshold_may_come_or_go_in_a_golden_picture(folder, new):
    detector = Detector.load(new)
    faint = GoldenBox(name=2, score=detector.manifest.threshold + 0.05, box=(40.0, 40.0, 60.0, 60.0))
    (golden,) = recorded(detector, [paint("Female")])
    more = golden.model_copy(update={"found": (*golden.found, faint)})
    embed_manifest(new, detector.manifest.model_copy(update={"golden": (more,)}))
    assert "finds what it should" in folder.install(new, None)


def test_a_golden_picture_that_is_no_picture_is_refused_in_one_line(folder, new):
    broken = Golden(jpeg="Z29sZA==", found=())
    embed_manifest(new, Detector.load(new).manifest.model_copy(update={"golden": (broken,)}))
    with pytest.raises(DataError, match="a golden picture: can't be read as a picture"):
        folder.install(new, None)


def signed(bundle: Path, key: Ed25519PrivateKey) -> Path:
    signature_file(bundle).write_text(sign(content_digest(bundle), key).model_dump_json())
    return bundle


def test_only_a_bundle_signed_by_whom_the_trap_trusts_is_installed(folder, old):
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    trusted = {key.public_key().public_bytes_raw().hex()}
    with pytest.raises(BundleError, match="no signature beside the bundle"):
        folder.install(old, trusted)
    with pytest.raises(BundleError, match="not trusted here"):
        folder.install(signed(old, stranger), trusted)
    assert folder.read().active is None
    assert "signed by trusted key" in folder.install(signed(old, key), trusted)


def test_a_bundle_altered_after_signing_is_refused_even_where_nobody_is_trusted(folder, old):
    signed(old, Ed25519PrivateKey.generate())
    old.write_bytes(old.read_bytes() + b" ")
    with pytest.raises(BundleError, match="altered or damaged"):
        folder.install(old, None)


@pytest.mark.parametrize("name", ["none.onnx", "torn.tflite"])
def test_what_is_no_bundle_is_refused_and_the_active_one_stays(folder, old, tmp_path, name):
    pass_trial(folder, old)
    (tmp_path / "torn.tflite").write_bytes(b"torn" * 100)
    with pytest.raises(ZancudoError, match=name):
        folder.install(tmp_path / name, None)
    assert begin(folder).name == "old.onnx"


def test_the_shipped_model_is_plausible_and_one_that_sees_insects_everywhere_is_not(old, monkeypatch):
    assert "ran on 3 drawn boards" in check_plausible(MODELS / "yolov8n_kd.tflite")
    monkeypatch.setattr(slots_module, "_MOST_ON_GREY", -1)
    with pytest.raises(BundleError, match="in a plain grey picture"):
        check_plausible(old)


def agent_settings(tmp_path: Path, **changes: object) -> AgentSettings:
    flags = {"model": "installed", "source": str(tmp_path / "pictures"), "trap": "t-1", "threads": 1, "window": 5.0}
    return load_settings(AgentSettings, {**flags, "state_dir": tmp_path / "state", **changes})


def test_where_a_key_is_trusted_only_what_it_signed_is_loaded(tmp_path, old):
    key, stranger, file = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate(), tmp_path / "trusted.pub"
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    settings = agent_settings(tmp_path, model=old, trust=file)
    with pytest.raises(BundleError, match="no signature beside the bundle"):
        load_bundle(settings)
    signed(old, stranger)
    with pytest.raises(BundleError, match="not trusted here"):
        load_bundle(settings)
    signed(old, key)
    assert load_bundle(settings).manifest.id == "quadrants"
    with pytest.raises(ConfigError, match="no such key"):
        load_bundle(agent_settings(tmp_path, model=old, trust=tmp_path / "none.pub"))


def test_an_agent_with_an_installed_bundle_delivers_and_ends_its_trial(tmp_path, folder, old):
    save_pictures(tmp_path / "pictures", 70, "Female")
    folder.install(old, None)
    with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector:
        settings = agent_settings(tmp_path, broker=broker.url)
        assert settings.broker_address is not None
        assert deliver_windows(settings, settings.broker_address, StopRequest()) == 0
        assert {window.model.id for window in collector.stored.values()} == {"quadrants"}
    assert folder.read().outcome == "old.onnx passed its trial"


def test_two_folders_do_not_share_a_state(tmp_path, old):
    SlotFolder(tmp_path / "one").install(old, None)
    assert SlotFolder(tmp_path / "two").read().active is None
    assert json.loads((tmp_path / "one/models/slots.json").read_text())["active"] == "a"
