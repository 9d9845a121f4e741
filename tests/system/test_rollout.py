"""A rollout with real parts: a fleet's own certificates, mosquitto, trap-server over HTTPS, an agent that is killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random

import onnx
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from device.agents import started_agent
from device.bundles import write_bundle
from server.chaos.proxy import ChaosProxy
from server.fleets import HOST, RunningFleet, running_fleet
from trap_agent.slots import SlotFolder
from trap_contract.signature import content_digest, sign, signature_file
from trap_deploy.ports import free_port
from trap_server.database import open_database
from trap_server.rollouts import keeping
from waiting import until

PATIENCE_S = 90.0
CUT_AFTER = 2_000_000


def fleet(*arguments: object) -> dict[str, object]:
    command = [sys.executable, "-m", "trap_server.fleet_commands", "rollout", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return json.loads(done.stdout)


def signed(bundle: Path, key: Ed25519PrivateKey, at_s: int) -> Path:
    signature_file(bundle).write_text(sign(content_digest(bundle), key, at_s).model_dump_json())
    return bundle


@dataclass
class Place:
    """A collector that serves HTTPS and one trap that knows the key `trust`, with the files of `trap-fleet` alone."""

    folder: Path
    running: RunningFleet
    key: Ed25519PrivateKey
    port: int

    @property
    def database(self) -> str:
        return f"sqlite:///{self.folder / 'counts.db'}"

    @property
    def shelf(self) -> Path:
        return self.folder / "bundles"

    @property
    def trust(self) -> Path:
        return self.folder / "key.pub"

    @property
    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """`trap-server run` as the documents tell to start it."""
        own = self.running.fleet.folder / "collectors" / "collector"
        broker = ["--ca", own / "ca.pem", "--cert", own / "collector.pem", "--key", own / "collector.key"]
        https = ["--https-cert", own / "https.pem", "--https-key", own / "https.key", "--bundles", self.shelf]
        where = ["--broker", self.running.fleet.broker_url, "--database", self.database, "--port", self.port]
        command = [sys.executable, "-m", "trap_server.commands", "run", *map(str, [*where, *broker, *https])]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: (self.folder / "counts.db").exists(), "the database is there", PATIENCE_S)
            yield
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)

    @contextmanager
    def counting(self) -> Iterator[subprocess.Popen[bytes]]:
        """The trap's agent; it is killed when the block ends."""
        card = self.running.trap("t-1").card
        tls = ("--ca", card / "ca.pem", "--cert", card / "trap.pem", "--key", card / "trap.key")
        who = ("--tenant", "demo", "--trap", "t-1", "--broker", self.running.fleet.broker_url)
        what = ("--model", "installed", "--trust", self.trust, "--source", "rendered:3")
        pace = ("--window", "1", "--fps", "2", "--threads", "1", "--drain", "1")
        flags = (*what, *who, *tls, *pace, "--state-dir", self.folder / "state")
        with started_agent(*flags, log=self.folder / "agent.log") as process:
            yield process

    @cached_property
    def engine(self) -> sa.Engine:
        return open_database(self.database)

    def is_known(self) -> bool:
        with self.engine.begin() as connection:
            return connection.execute(sa.text("SELECT 1 FROM traps WHERE trap = 't-1'")).first() is not None

    def said(self, rollout: str) -> str | None:
        with self.engine.begin() as connection:
            (row,) = keeping.members(connection, rollout)
        return row.member.state


@pytest.fixture
def place(tmp_path):
    key = Ed25519PrivateKey.generate()
    with running_fleet(tmp_path / "fleet") as running:
        running.enrolled("t-1")
        place = Place(tmp_path, running, key, free_port())
        place.trust.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        yield place


def two_bundles(place: Place) -> tuple[SlotFolder, Path]:
    """One that counts and has passed its trial, and a newer one of some megabytes."""
    old = signed(write_bundle(place.folder / "old.onnx"), place.key, 1)
    new = write_bundle(place.folder / "new.onnx")
    model = onnx.load(new)
    model.doc_string = Random(1).randbytes(2_000_000).hex()  # the same network, and other bytes
    onnx.save(model, new)
    slots = SlotFolder(place.folder / "state")
    slots.install(old, None)
    slots.change(lambda now: now.model_copy(update={"trial": None}))
    return slots, signed(new, place.key, 2)


@pytest.mark.timeout(600)
def test_a_bundle_reaches_a_trap_by_https_though_bytes_are_altered_and_lines_cut_and_goes_again_when_withdrawn(place):
    slots, new = two_bundles(place)
    whole = new.read_bytes()
    with place.serving(), ChaosProxy(place.port, cut_after=[0, CUT_AFTER]) as relay:
        with place.counting():
            until(place.is_known, "the collector knows the trap", PATIENCE_S)
            published = fleet(
                "publish", new, "--trust", place.trust, "--database", place.database, "--bundles", place.shelf
            )
            on_shelf = place.shelf / str(published["digest"]) / "new.onnx"
            on_shelf.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
            url = f"https://{HOST}:{relay.port}"
            plan = ("plan", published["digest"], "--url", url, "--ring", "100%", "--database", place.database)
            rollout = str(fleet(*plan)["id"])
            fleet("start", rollout, "--database", place.database)
            until(lambda: "is not what was published" in place.log, "altered bytes are refused", PATIENCE_S)
            on_shelf.write_bytes(whole)
            until(lambda: slots.active_bundle().name == "new.onnx", "it is installed", PATIENCE_S)
            altered, cut, rest = relay.answered
            assert altered > len(whole)
            assert CUT_AFTER <= cut < len(whole)
            assert rest < len(whole) - CUT_AFTER + 200_000, "only what was missing came again"
            assert slots.active_bundle().read_bytes() == whole
        with place.counting() as process:  # it was killed; so it is again
            until(lambda: place.said(rollout) == "trial", "it counts on trial", PATIENCE_S)
            os.kill(process.pid, signal.SIGKILL)
        with place.counting():
            until(lambda: place.said(rollout) == "active", "it passed its trial", PATIENCE_S)
            fleet("abort", rollout, "--database", place.database)
            until(lambda: place.said(rollout) == "rolled_back", "it is told to return", PATIENCE_S)
            assert slots.active_bundle().name == "old.onnx"
