"""A rollout on one trap: fetched over bad lines, installed on trial, refused, withdrawn, and reported."""

import hashlib
import json
import os
import secrets
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from structlog.testing import capture_logs
from trap_agent import slots as slots_module
from trap_agent.session import Heard
from trap_agent.settings import AgentSettings, load_settings
from trap_agent.slots import SlotFolder, begin
from trap_agent.trial import GOOD_WINDOWS
from trap_agent.updating import fetching
from trap_agent.updating.fetching import Fetch, opener
from trap_agent.updating.updater import MOST_DAMAGED, Updater
from trap_contract.errors import BundleError, ConfigError, DeliveryError, StoreError
from trap_contract.rollout import BundleFile, Desired, PublishedBundle
from trap_contract.signature import content_digest, sign
from trap_contract.topics import DESIRED

from device.bundles import write_bundle
from device.range_server import RangeServer, serving
from device.samples import WALL_MS, SetClock
from device.test_slots import watch

KEY, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
ROLLOUT = "0123456789abcdef"


def published(bundle: Path, key: Ed25519PrivateKey = KEY, signed_at_s: int = 1000) -> PublishedBundle:
    data = bundle.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    return PublishedBundle(
        name=bundle.name,
        model="quadrants",
        model_sha256=sha256,
        signature=sign(content_digest(bundle), key, signed_at_s),
        files=(BundleFile(name=bundle.name, size=len(data), sha256=sha256),),
    )


def blob(size: int) -> tuple[PublishedBundle, bytes]:
    """Files that are no model, for what only moves them."""
    data = np.random.default_rng(size).bytes(size)
    sha256 = hashlib.sha256(data).hexdigest()
    file = BundleFile(name="m.onnx", size=size, sha256=sha256)
    signature = sign(sha256, KEY, 1)
    return PublishedBundle(name="m.onnx", model="m", model_sha256=sha256, signature=signature, files=(file,)), data


def fetch_from(server: RangeServer, bundle: PublishedBundle, folder: Path, **changes: object) -> Path:
    values = {"is_over": lambda: False, "told": lambda _: None, "token": "right", "opened": plain_opener(Path("state"))}
    return Fetch(bundle, server.url, folder=folder / "in", **{**values, **changes}).run()


@cache
def plain_opener(folder: Path) -> fetching.Open:
    return opener(load_settings(AgentSettings, {"model": "installed", "source": "rendered", "state_dir": folder}))


def test_a_line_that_breaks_is_taken_up_where_it_ended(tmp_path):
    bundle, data = blob(300_000)
    with serving({"m.onnx": data}, cut_after=[70_000, 1, 150_000]) as server:
        for _ in range(3):
            with pytest.raises(DeliveryError):
                fetch_from(server, bundle, tmp_path)
        heard: list[int] = []
        assert fetch_from(server, bundle, tmp_path, told=heard.append).read_bytes() == data
        assert server.ranges == ["bytes=0-", "bytes=70000-", "bytes=70001-", "bytes=220001-"]
        assert heard[-1] == len(data)


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 9_000), max_size=6), leftover=st.binary(max_size=12_000))
def test_whatever_lies_there_and_wherever_lines_break_the_right_bytes_come_or_an_error(
    tmp_path_factory, cuts, leftover
):
    folder = tmp_path_factory.mktemp("fetch")
    bundle, data = blob(9_000)
    (folder / "in").mkdir()
    (folder / "in" / "m.onnx").write_bytes(leftover)
    with serving({"m.onnx": data}, cut_after=list(cuts)) as server:
        for _ in range(len(cuts) + 2):
            try:
                place = fetch_from(server, bundle, folder)
            except (DeliveryError, BundleError):
                continue
            assert place.read_bytes() == data
            return
    raise AssertionError("never came")


def test_a_server_without_ranges_is_taken_from_the_beginning(tmp_path):
    bundle, data = blob(100_000)
    with serving({"m.onnx": data}, knows_ranges=False, cut_after=[40_000]) as server:
        with pytest.raises(DeliveryError):
            fetch_from(server, bundle, tmp_path)
        assert fetch_from(server, bundle, tmp_path).read_bytes() == data


def test_altered_bytes_are_refused_and_thrown_away(tmp_path):
    bundle, data = blob(10_000)
    with serving({"m.onnx": data}, is_altering=True) as server, pytest.raises(BundleError, match="not what was publi"):
        fetch_from(server, bundle, tmp_path)
    assert not (tmp_path / "in" / "m.onnx").exists()


def test_more_than_was_published_is_not_written(tmp_path):
    bundle, data = blob(10_000)
    with serving({"m.onnx": data + b"more"}, knows_ranges=False) as server, pytest.raises(DeliveryError, match="more"):
        fetch_from(server, bundle, tmp_path)


def test_a_wrong_token_is_said_and_a_redirect_never_followed(tmp_path):
    bundle, data = blob(1_000)
    with serving({"m.onnx": data}) as server, serving({}, redirect=f"{server.url}/m.onnx") as gate:
        with pytest.raises(DeliveryError, match="401"):
            fetch_from(server, bundle, tmp_path, token="wrong")
        with pytest.raises(DeliveryError, match="302"):
            fetch_from(gate, bundle, tmp_path)
        assert server.ranges == []


def test_a_full_card_is_said_before_anything_is_fetched(tmp_path, monkeypatch):
    bundle, _ = blob(1_000)
    monkeypatch.setattr(fetching, "SPARE_BYTES", 10**18)
    with pytest.raises(StoreError, match="MB free"):
        fetch_from(RangeServer({}), bundle, tmp_path)


def test_a_trap_that_speaks_tls_to_its_broker_fetches_nothing_in_the_clear(tmp_path):
    settings = load_settings(
        AgentSettings,
        {"model": "installed", "source": "rendered", "state_dir": tmp_path, "broker": "mqtts://b.example"},
    )
    with pytest.raises(ConfigError, match="not https"):
        opener(settings)("http://collector.example/m.onnx", {})


@pytest.mark.parametrize(
    "name", ["../m.onnx", "/etc/passwd", "a/../../m", "..", ".hidden", "a//b", "a\\b", "m.onnx\n", "", "a/b/c/d"]
)
def test_a_file_name_that_leads_out_of_the_bundle_is_refused(name):
    with pytest.raises(ValidationError, match="name"):
        BundleFile(name=name, size=1, sha256="0" * 64)


@pytest.mark.parametrize("names", [("other.onnx",), ("m_openvino/a.xml", "elsewhere/a.bin"), ("m.onnx", "m.onnx")])
def test_files_beside_the_bundle_are_refused(names):
    files = tuple(BundleFile(name=name, size=1, sha256="0" * 64) for name in names)
    signature = sign("0" * 64, KEY)
    with pytest.raises(ValidationError, match="files must"):
        PublishedBundle(name="m.onnx", model="m", model_sha256="0" * 64, signature=signature, files=files)


class Site:
    """A trap whose updater is turned by hand."""

    def __init__(self, folder: Path, server: RangeServer) -> None:
        self.folder, self.server, self.restarts = folder, server, 0
        self.trust = folder / "trusted.pub"
        public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.trust.write_bytes(public)
        self.slots = SlotFolder(folder / "state")
        self.clock = SetClock()
        self.updater = self.started()

    def started(self, **changes: object) -> Updater:
        flags = {"model": "installed", "source": "rendered", "trap": "t-1", "trust": self.trust}
        loaded = load_settings(AgentSettings, {**flags, "state_dir": self.folder / "state", **changes})
        self.updater = Updater(loaded, self.clock, self.restart)
        return self.updater

    def restart(self) -> None:
        self.restarts += 1

    def wish(self, bundle: PublishedBundle, **changes: object) -> Desired:
        values = {"trap": "t-1", "rollout": ROLLOUT, "action": "install", "bundle": bundle, "url": self.server.url}
        return Desired(**{**values, "token": "right", "deadline_wall_ms": WALL_MS + 10**9, **changes})

    def hear(self, wish: Desired) -> None:
        self.updater.hear(Heard(DESIRED, wish.model_dump_json().encode(), is_retained=True))

    def turned(self) -> tuple[str, str]:
        """What the collector is told after one turn."""
        self.updater.turn()
        self.updater.repeat()
        news = self.updater.news()
        assert news is not None
        return news.state, news.text

    def rebooted_and_passed(self) -> None:
        begin(self.slots)
        watch(self.slots, GOOD_WINDOWS, 10.0)
        self.started()


@pytest.fixture(autouse=True)
def _plausible(monkeypatch):
    monkeypatch.setattr(slots_module, "check_plausible", lambda _: "ran on 3 drawn boards")


@pytest.fixture
def old(tmp_path):
    return write_bundle(tmp_path / "old.onnx")


@pytest.fixture
def new(tmp_path):
    bundle = write_bundle(tmp_path / "new.onnx")
    import onnx

    model = onnx.load(bundle)
    model.doc_string = "another"
    onnx.save(model, bundle)
    return bundle


@pytest.fixture
def site(tmp_path, old, new):
    with serving({"old.onnx": old.read_bytes(), "new.onnx": new.read_bytes()}) as server:
        yield Site(tmp_path, server)


def count_with(site: Site, bundle: Path, signed_at_s: int = 1000) -> None:
    """The trap counts with this bundle, its trial passed."""
    site.hear(site.wish(published(bundle, signed_at_s=signed_at_s), rollout=secrets.token_hex(8)))
    assert site.turned()[0] == "trial"
    site.rebooted_and_passed()
    assert site.turned()[0] == "active"
    site.restarts = 0


def test_a_bundle_is_fetched_put_on_trial_and_active_after_ten_good_windows(site, new):
    site.hear(site.wish(published(new)))
    assert site.turned() == ("trial", "signed by trusted key " + site_key() + "; ran on 3 drawn boards")
    assert site.restarts == 1
    assert site.slots.active_bundle().read_bytes() == new.read_bytes()
    assert not (site.folder / "state" / "fetched").exists()
    begin(site.slots)
    site.started()
    assert site.turned()[0] == "trial"
    site.rebooted_and_passed()
    assert site.turned() == ("active", "new.onnx passed its trial")


def site_key() -> str:
    return KEY.public_key().public_bytes_raw().hex()[:16]


def test_a_bundle_that_fails_its_trial_is_reported_rolled_back_and_not_fetched_again(site, old, new):
    count_with(site, old)
    site.hear(site.wish(published(new)))
    assert site.turned()[0] == "trial"
    begin(site.slots)
    watch(site.slots, 1, 10_000.0)
    site.started()
    state, text = site.turned()
    assert state == "rolled_back"
    assert "a frame took 10000 ms" in text
    asked = len(site.server.ranges)
    site.hear(site.wish(published(new)))  # retained, so it comes again at every connect
    assert site.turned()[0] == "rolled_back"
    assert len(site.server.ranges) == asked


def test_a_withdrawn_bundle_goes_and_the_one_before_counts_again(site, old, new):
    count_with(site, old)
    count_with(site, new)
    job = site.updater.news()
    site.updater.repeat()
    job = site.updater.news()
    site.hear(site.wish(published(new), action="withdraw", rollout=job.rollout))
    assert site.turned() == ("rolled_back", "withdrawn by the collector")
    assert site.restarts == 1
    assert begin(site.slots).read_bytes() == old.read_bytes()
    site.started()
    site.hear(site.wish(published(new), action="withdraw", rollout=job.rollout))
    assert site.turned()[0] == "rolled_back"
    assert begin(site.slots).read_bytes() == old.read_bytes()


def test_a_withdrawal_before_the_bundle_is_there_ends_the_download(site, old, new):
    count_with(site, old)
    site.server.cut_after = [10]
    site.hear(site.wish(published(new)))
    assert site.turned()[0] == "downloading"
    site.hear(site.wish(published(new), action="withdraw"))
    assert site.turned() == ("rolled_back", "withdrawn; it does not count here")
    assert begin(site.slots).read_bytes() == old.read_bytes()


def test_what_this_trap_may_not_take_is_refused_with_its_reason_and_logged(site, old, new):
    count_with(site, old, signed_at_s=2000)
    cases = [
        (published(new, STRANGER), {}, "not trusted here"),
        (published(new, signed_at_s=1999), {}, "a downgrade: signed 1 s before"),
        (published(new), {"trust": None}, "trusts no key"),
        (published(new), {"model": new}, "give it --model installed"),
    ]
    for bundle, changes, why in cases:
        site.started(**changes)
        site.hear(site.wish(bundle, rollout=secrets.token_hex(8)))
        with capture_logs() as logs:
            state, text = site.turned()
        assert (state, why in text) == ("refused", True), text
        assert [one["event"] for one in logs] == ["rollout ended"]
    assert site.restarts == 0
    assert site.slots.active_bundle().read_bytes() == old.read_bytes()


def test_a_signature_that_does_not_hold_fails_after_the_fetch(site, new):
    bundle = published(new)
    forged = bundle.signature.model_copy(update={"signed_at_s": 10**9})
    site.hear(site.wish(bundle.model_copy(update={"signature": forged})))
    state, text = site.turned()
    assert state == "failed"
    assert "is not a signature by the key it names" in text


def test_a_bundle_that_always_comes_damaged_is_given_up(site, new):
    site.server.is_altering = True
    site.hear(site.wish(published(new)))
    states = [site.turned()[0] for _ in range(MOST_DAMAGED)]
    assert states == ["downloading"] * (MOST_DAMAGED - 1) + ["failed"]


def test_nothing_is_installed_after_the_deadline_of_a_clock_that_is_right(site, new):
    site.hear(site.wish(published(new), deadline_wall_ms=WALL_MS))
    site.clock.now = lambda: slots_moment()
    assert site.turned()[0] == "expired"


def slots_moment():
    from device.samples import moment

    return moment(100.0, WALL_MS + 1, is_synced=True)


@pytest.mark.parametrize("change", [{"trap": "t-2"}, {"url": "ftp://x/y"}, {"rollout": "nope"}])
def test_what_is_no_wish_for_this_trap_is_ignored_and_logged(site, new, change):
    wish = site.wish(published(new)).model_copy(update=change)
    with capture_logs() as logs:
        site.hear(wish)
    assert [one["event"] for one in logs] == ["rollout ignored"]
    assert site.updater.turn() is None


@pytest.mark.parametrize("name", ["../new.onnx", "/etc/passwd", "a/../../new.onnx"])
def test_a_wish_whose_file_leads_out_of_the_bundle_is_ignored_and_logged(site, new, name):
    wish = site.wish(published(new)).model_dump(mode="json")
    wish["bundle"]["files"][0]["name"] = name
    with capture_logs() as logs:
        site.updater.hear(Heard(DESIRED, json.dumps(wish).encode(), is_retained=True))
    (line,) = logs
    assert line["event"] == "rollout ignored"
    assert "Desired is malformed at bundle.files.0.name" in line["error"]
    assert site.updater.turn() is None
    assert site.server.ranges == []


@pytest.mark.parametrize("cut", range(8))
def test_a_power_cut_at_any_write_of_an_installation_ends_in_one_of_the_two_bundles_and_goes_on(site, old, new, cut):
    """The agent dies in a process of its own at its n-th fsync; then it starts again."""
    count_with(site, old)
    wish = site.wish(published(new))
    process = os.fork()
    if process == 0:
        left = [cut]
        real = os.fsync

        def dying(handle: int) -> None:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            real(handle)

        os.fsync = dying
        site.hear(wish)
        site.updater.turn()
        os._exit(0)
    os.waitpid(process, 0)
    assert begin(site.slots).read_bytes() in {old.read_bytes(), new.read_bytes()}
    site.started()
    site.hear(wish)  # retained
    assert site.turned()[0] == "trial"
    site.rebooted_and_passed()
    assert site.turned()[0] == "active"
    assert begin(site.slots).read_bytes() == new.read_bytes()


def test_two_wishes_one_after_the_other_wait_for_the_trial(site, old, new):
    site.hear(site.wish(published(old)))
    assert site.turned()[0] == "trial"
    begin(site.slots)
    site.started()
    site.hear(site.wish(published(new), rollout="f" * 16))
    assert site.turned()[0] == "downloading"
    assert site.slots.active_bundle().read_bytes() == old.read_bytes()
    watch(site.slots, GOOD_WINDOWS, 10.0)
    assert site.turned()[0] == "trial"
    assert site.slots.active_bundle().read_bytes() == new.read_bytes()


def test_the_thread_goes_on_by_itself(site, new):
    site.updater.start()
    site.hear(site.wish(published(new)))
    from waiting import until

    until(lambda: site.restarts == 1, "installed")
    site.updater.stop()
