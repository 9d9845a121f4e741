"""Rollouts on a real database, through the API, and rehearsed with 200 traps."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from device.bundles import write_bundle
from fastapi.testclient import TestClient
from trap_contract.errors import BundleError, ConfigError
from trap_contract.messages import parse_message
from trap_contract.rollout import Desired, Progress, PublishedBundle
from trap_contract.signature import content_digest, sign, signature_file
from trap_contract.topics import PROGRESS, TrapAddress
from trap_server.rollouts import keeping, shelf
from trap_server.rollouts.driving import Driver
from trap_server.rollouts.fault import Fault
from trap_server.rollouts.plan import Plan
from trap_server.rollouts.simulation import World, rehearse
from trap_server.sorting import Arrival, sort_arrivals
from trap_server.store import Store
from typer.testing import CliRunner

from server.clients import client_of
from server.traps import NOON_MS, make_batch, make_window

KEY = Ed25519PrivateKey.generate()
URL = "https://collector.example"
NOW_MS = NOON_MS + 10**7


def signed(bundle: Path, key: Ed25519PrivateKey = KEY, at_s: int = 1000) -> Path:
    signature_file(bundle).write_text(sign(content_digest(bundle), key, at_s).model_dump_json())
    return bundle


def public(key: Ed25519PrivateKey = KEY) -> set[str]:
    return {key.public_key().public_bytes_raw().hex()}


@pytest.fixture
def bundle(tmp_path) -> Path:
    return signed(write_bundle(tmp_path / "new.onnx"))


@pytest.fixture
def published(bundle, tmp_path) -> PublishedBundle:
    described = shelf.describe(bundle, public())
    shelf.place(tmp_path / "bundles", bundle, described)
    return described


class Fleet:
    """A database with ten traps that were heard of, and what the driver told them."""

    def __init__(self, engine: sa.Engine, published: PublishedBundle) -> None:
        self.engine, self.store, self.told = engine, Store(engine, "c"), []
        self.driver = self.restarted()
        self.published = published
        for number in range(10):
            payload = make_batch([make_window(1)], f"t-{number}")
            self.store.commit(sort_arrivals([Arrival(f"mt/v1/demo/t-{number}/counts", payload, False, NOON_MS)]))
        with engine.begin() as connection:
            assert keeping.keep_bundle(connection, published, NOON_MS)
            assert not keeping.keep_bundle(connection, published, NOON_MS)

    def restarted(self) -> Driver:
        self.driver = Driver(
            self.engine, lambda address, wish, expiry_s: self.told.append((address.trap, wish, expiry_s))
        )
        return self.driver

    def begin(self, **plan: object) -> str:
        values = {"rings": ("20%", "100%"), "per_minute": 100, "soak_s": 0, "gate": {"windows": 1}}
        with self.engine.begin() as connection:
            chosen = keeping.bundle(connection, self.published.digest[:8])
            wanted = Plan.model_validate({**values, **plan})
            new = keeping.create(connection, chosen, wanted, url=URL, tenant=None, now_ms=NOW_MS, new_id="ab" * 8)
            keeping.command(connection, new, "running", NOW_MS)
        return new

    def say(self, trap: str, rollout: str, state: str, at_ms: int = NOW_MS) -> None:
        progress = Progress(trap=trap, rollout=rollout, digest=self.published.digest, state=state, wall_ms=1)
        payload = progress.model_dump_json().encode()
        self.store.commit(sort_arrivals([Arrival(f"mt/v1/demo/{trap}/{PROGRESS}", payload, True, at_ms)]))

    def count(self, trap: str, seq: int, at_ms: int, females: int = 3) -> None:
        model = {"id": "quadrants", "sha256": self.published.model_sha256, "threshold": 0.5}
        window = make_window(seq, females, wall_ms=at_ms, model=model)
        payload = make_batch([window], trap)
        self.store.commit(sort_arrivals([Arrival(f"mt/v1/demo/{trap}/counts", payload, False, at_ms)]))

    def position(self, rollout: str):
        with self.engine.begin() as connection:
            return keeping.rollout(connection, rollout).position


@pytest.fixture
def fleet(engine, published) -> Fleet:
    return Fleet(engine, published)


@pytest.fixture
def client(database_url, engine, tmp_path) -> Iterator[TestClient]:
    with client_of(database_url, engine, lambda: NOW_MS) as client:
        client.app.state.shelf = tmp_path / "bundles"
        yield client


def test_a_rollout_goes_from_ring_to_ring_and_is_done(fleet):
    rollout = fleet.begin()
    fleet.driver.turn(NOW_MS)
    first = [trap for trap, _, _ in fleet.told]
    assert len(first) == 2
    assert all(wish.action == "install" and wish.rollout == rollout for _, wish, _ in fleet.told)
    fleet.driver.turn(NOW_MS + 1)
    assert len(fleet.told) == 2
    for trap in first:
        fleet.say(trap, rollout, "active")
        fleet.count(trap, 2, NOW_MS + 1000)
    fleet.driver.turn(NOW_MS + 320_000)
    assert len(fleet.told) == 10
    for trap in {trap for trap, _, _ in fleet.told} - set(first):
        fleet.say(trap, rollout, "active")
        fleet.count(trap, 2, NOW_MS + 321_000)
    fleet.driver.turn(NOW_MS + 640_000)
    assert fleet.position(rollout).reason == "10 of 10 are well"
    assert fleet.position(rollout).state == "done"


def test_traps_that_go_blind_end_it_and_every_trap_is_told_to_return(fleet):
    rollout = fleet.begin()
    for number in range(10):
        fleet.count(f"t-{number}", 10, NOW_MS - 60_000, females=20)
    fleet.driver.turn(NOW_MS)
    first = [trap for trap, _, _ in fleet.told]
    for trap in first:
        fleet.say(trap, rollout, "active")
        fleet.count(trap, 11, NOW_MS + 1000, females=0)
    fleet.driver.turn(NOW_MS + 320_000)
    assert fleet.position(rollout).state == "aborted"
    fleet.driver.turn(NOW_MS + 380_000)
    withdrawn = [trap for trap, wish, _ in fleet.told if wish.action == "withdraw"]
    assert sorted(withdrawn) == sorted(first)
    for trap in first:
        fleet.say(trap, rollout, "rolled_back")
    fleet.restarted().turn(NOW_MS + 400_000)
    assert len(fleet.told) == len(first) + len(withdrawn)


def test_a_collector_that_starts_again_tells_the_traps_that_have_not_finished_once_more(fleet):
    rollout = fleet.begin()
    fleet.driver.turn(NOW_MS)
    trap = fleet.told[0][0]
    fleet.say(trap, rollout, "active")
    before = len(fleet.told)
    fleet.restarted().turn(NOW_MS + 1)
    assert [name for name, _, _ in fleet.told[before:]] == [name for name, _, _ in fleet.told[:before] if name != trap]


def test_what_a_broker_may_have_forgotten_is_told_again_on_the_next_connection(fleet):
    fleet.begin()
    fleet.driver.turn(NOW_MS, generation=1)
    first = list(fleet.told)
    fleet.driver.turn(NOW_MS + 1, generation=1)
    assert fleet.told == first
    fleet.driver.turn(NOW_MS + 2, generation=2)
    assert [(trap, wish) for trap, wish, _ in fleet.told] == 2 * [(trap, wish) for trap, wish, _ in first]


def test_a_pause_tells_nobody_further_and_a_start_goes_on(fleet):
    rollout = fleet.begin(per_minute=1)
    fleet.driver.turn(NOW_MS)
    with fleet.engine.begin() as connection:
        keeping.command(connection, rollout[:6], "paused", NOW_MS)
    fleet.driver.turn(NOW_MS + 320_000)
    assert len(fleet.told) == 1
    with fleet.engine.begin() as connection:
        keeping.command(connection, rollout, "running", NOW_MS)
    fleet.driver.turn(NOW_MS + 320_000)
    assert len(fleet.told) == 2


def test_an_ended_rollout_can_not_be_started_again_and_an_unknown_one_is_named(fleet):
    rollout = fleet.begin()
    with fleet.engine.begin() as connection:
        keeping.command(connection, rollout, "aborted", NOW_MS)
        with pytest.raises(ConfigError, match="is aborted: plan another"):
            keeping.command(connection, rollout, "running", NOW_MS)
        with pytest.raises(ConfigError, match="there are 0"):
            keeping.rollout(connection, "nope")


def test_the_broker_keeps_a_wish_until_the_deadline(fleet):
    fleet.begin(days=1)
    fleet.driver.turn(NOW_MS)
    assert {expiry_s for _, _, expiry_s in fleet.told} == {24 * 3600}


def test_the_api_gives_a_trap_its_files_by_ranges_and_nobody_else(fleet, client, bundle):
    rollout = fleet.begin()
    fleet.driver.turn(NOW_MS)
    _, wish, _ = fleet.told[0]
    place = wish.url.removeprefix(URL) + "/new.onnx"
    data = bundle.read_bytes()
    allowed = {"Authorization": f"Bearer {wish.token}"}
    whole = client.get(place, headers=allowed)
    assert (whole.status_code, whole.content) == (200, data)
    part = client.get(place, headers={**allowed, "Range": "bytes=100-"})
    assert (part.status_code, part.content) == (206, data[100:])
    assert part.headers["content-range"] == f"bytes 100-{len(data) - 1}/{len(data)}"
    other = wish.token.replace(fleet.told[0][0], "t-99")
    forged = wish.token[:-1] + ("1" if wish.token.endswith("0") else "0")
    for token in ("", forged, other, "x.y", "..", "demo.t-1.\xe9"):
        assert client.get(place, headers={"Authorization": f"Bearer {token}".encode("latin-1")}).status_code == 401
    for name in ("nope.onnx", "..%2F..%2Fsecret", "%2Fetc%2Fpasswd", "new.onnx.sig"):
        assert client.get(f"/api/v1/rollouts/{rollout}/files/{name}", headers=allowed).status_code == 404
    with fleet.engine.begin() as connection:
        keeping.command(connection, rollout, "aborted", NOW_MS)
    assert client.get(place, headers=allowed).status_code == 410


def test_the_api_tells_rollouts_rings_and_traps_and_no_secret(fleet, client):
    rollout = fleet.begin()
    fleet.driver.turn(NOW_MS)
    fleet.say(fleet.told[0][0], rollout, "trial")
    (found,) = client.get("/api/v1/rollouts").json()
    assert (found["id"], found["state"], found["model"]) == (rollout, "running", "quadrants")
    assert [(ring["traps"], ring["told"]) for ring in found["rings"]] == [(2, 2), (8, 0)]
    assert found["rings"][0]["states"] == {"trial": 1, "silent": 1}
    traps = client.get(f"/api/v1/rollouts/{rollout}/traps").json()
    assert sum(one["state"] == "trial" for one in traps) == 1
    assert client.get("/api/v1/rollouts/" + "0" * 16).status_code == 404
    with fleet.engine.begin() as connection:
        secret = keeping.rollout(connection, rollout).secret
    assert secret not in json.dumps(found) + json.dumps(traps)
    assert fleet.told[0][1].token not in json.dumps(found) + json.dumps(traps)


def test_what_no_trap_may_take_is_not_published(tmp_path):
    stranger, bundle = Ed25519PrivateKey.generate(), write_bundle(tmp_path / "m.onnx")
    with pytest.raises(BundleError, match="no signature beside"):
        shelf.describe(bundle, public())
    with pytest.raises(BundleError, match="not trusted here"):
        shelf.describe(signed(bundle, stranger), public())
    with pytest.raises(BundleError, match="does not say when"):
        shelf.describe(signed(bundle, at_s=0), public())
    signed(bundle)
    bundle.write_bytes(bundle.read_bytes() + b" ")
    with pytest.raises(BundleError, match="altered or damaged"):
        shelf.describe(bundle, public())
    odd = signed(write_bundle(tmp_path / "a b.onnx"))
    with pytest.raises(BundleError, match="can't be published: name"):
        shelf.describe(odd, public())


def test_an_openvino_folder_with_a_way_out_of_it_is_not_published(tmp_path):
    folder = tmp_path / "m_openvino"
    folder.mkdir()
    (folder / "m.xml").write_text("<net/>")
    (folder / "m.bin").write_bytes(b"x")
    (folder / "out").symlink_to("/etc/hostname")
    with pytest.raises(BundleError, match="plain files only"):
        content_digest(folder)


def test_the_commands_publish_plan_start_and_tell(fleet, bundle, tmp_path, database_url, monkeypatch):
    from trap_server.fleet_commands import app

    trust = tmp_path / "key.pub"
    trust.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    monkeypatch.setenv("TRAP_SERVER_DATABASE", database_url)
    monkeypatch.setenv("TRAP_SERVER_BUNDLES", str(tmp_path / "shelf"))

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["rollout", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    digest = json.loads(run("publish", str(bundle), "--trust", str(trust), "--json"))["digest"]
    assert (tmp_path / "shelf" / digest / "new.onnx").read_bytes() == bundle.read_bytes()
    planned = json.loads(run("plan", digest[:10], "--url", URL, "--ring", "t-1", "--ring", "100%", "--json"))
    assert (planned["state"], planned["rings"][0]["traps"]) == ("planned", 1)
    assert "is running" in run("start", planned["id"])
    assert "is paused: by hand" in run("pause", planned["id"])
    assert "demo/t-1" in run("status", planned["id"])
    assert "is aborted" in run("abort", planned["id"])
    assert json.loads(run("status", "--json"))["bundles"][0]["digest"] == digest
    with pytest.raises(ConfigError, match="each ring's share must be larger"):
        run("plan", digest, "--url", URL, "--ring", "20%", "--ring", "10%")
    with pytest.raises(ConfigError, match="limits: windows"):
        run("plan", digest, "--url", URL, "--gate", '{"shift": 0}')


def test_progress_of_a_rollout_that_nobody_planned_changes_nothing_and_is_no_error(fleet):
    fleet.say("t-1", "f" * 16, "active")
    with fleet.engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM quarantine")).scalar() == 0


def test_a_token_names_its_trap_and_proves_it(fleet):
    rollout = fleet.begin()
    with fleet.engine.begin() as connection:
        one = keeping.rollout(connection, rollout)
    address = TrapAddress("demo", "t-1")
    assert one.admits(one.token(address)) == address
    assert one.admits(one.token(address)[:-1]) is None
    wish = parse_message(Desired, one.wish(address).model_dump_json().encode())
    assert wish.url == f"{URL}/api/v1/rollouts/{rollout}/files"


QUICK = Plan(rings=("5%", "25%", "100%"), soak_s=3600, abort_share=0.05, gate={"windows": 6})


def test_two_hundred_traps_take_a_good_model_though_the_power_fails_and_some_are_away():
    outcome = rehearse(QUICK, World(traps=200, bad_share=0.0, cut_share=0.1, away_share=0.03))
    assert outcome.state == "done", outcome
    assert outcome.have_it == 200 - outcome.away
    assert outcome.power_cuts > 20


def test_a_model_that_is_bad_on_ten_percent_of_two_hundred_traps_is_stopped_and_gone():
    outcome = rehearse(QUICK, World(traps=200, fault=Fault.blind))
    assert outcome.state == "aborted", outcome
    assert outcome.had_it <= 60
    assert outcome.have_it == 0


@pytest.mark.parametrize("fault", list(Fault))
def test_every_way_in_which_a_model_can_be_bad_ends_its_rollout_in_the_first_ring(fault):
    outcome = rehearse(QUICK, World(traps=40, bad_share=1.0, fault=fault, away_share=0))
    assert (outcome.state, outcome.have_it) == ("aborted", 0), outcome
    assert outcome.had_it <= 2


def test_the_shelf_serves_only_names_of_the_bundle(tmp_path, published):
    assert shelf.file_on_shelf(tmp_path / "bundles", published, "../new.onnx") is None
    found = shelf.file_on_shelf(tmp_path / "bundles", published, "new.onnx")
    assert found is not None
    assert hashlib.sha256(found.read_bytes()).hexdigest() == published.files[0].sha256
