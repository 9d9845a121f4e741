"""A rollout with real parts: a signed bundle, trap-server with its API, mosquitto, an agent that is killed twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import onnx
from brokers import free_port, running_broker
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from device.agents import started_agent
from device.bundles import write_bundle
from server.traps import until
from trap_agent.slots import SlotFolder
from trap_contract.signature import content_digest, sign, signature_file
from trap_server.database import open_database
from trap_server.rollouts import keeping

PATIENCE_S = 90.0


def fleet(*arguments: object) -> dict[str, object]:
    command = [sys.executable, "-m", "trap_server.fleet_commands", "rollout", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return json.loads(done.stdout)


def signed(bundle: Path, key: Ed25519PrivateKey, at_s: int) -> Path:
    signature_file(bundle).write_text(sign(content_digest(bundle), key, at_s).model_dump_json())
    return bundle


def test_a_bundle_reaches_a_trap_that_is_killed_on_the_way_and_goes_again_when_it_is_withdrawn(tmp_path):
    key, trust = Ed25519PrivateKey.generate(), tmp_path / "key.pub"
    trust.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    old = signed(write_bundle(tmp_path / "old.onnx"), key, 1)
    new = write_bundle(tmp_path / "new.onnx")
    model = onnx.load(new)
    model.doc_string = "the same network, and other bytes"
    onnx.save(model, new)
    signed(new, key, 2)
    state, database = tmp_path / "state", f"sqlite:///{tmp_path / 'counts.db'}"
    SlotFolder(state).install(old, None)
    slots = SlotFolder(state)
    slots.change(lambda now: now.model_copy(update={"trial": None}))  # it has passed long ago
    port, shelf = free_port(), tmp_path / "bundles"
    with running_broker(tmp_path) as broker:
        serve = ["run", "--broker", broker.url, "--database", database, "--port", port, "--bundles", shelf]
        command = [sys.executable, "-m", "trap_server.commands", *map(str, serve)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        where = ("--source", "rendered:3", "--broker", broker.url, "--state-dir", state, "--trap", "t-1")
        agent = (
            "--model",
            "installed",
            "--trust",
            trust,
            *where,
            *["--window", "1", "--fps", "2", "--threads", "1", "--drain", "1"],
        )
        log = tmp_path / "agent.log"
        try:
            until(lambda: (tmp_path / "counts.db").exists(), "the database is there", PATIENCE_S)
            engine = open_database(database)

            def said() -> str | None:
                with engine.begin() as connection:
                    (row,) = keeping.members(connection, rollout)
                return row.member.state

            with started_agent(*agent, log=log):
                until(lambda: "connected" in log.read_text(), "the trap is heard of", PATIENCE_S)
                until(lambda: known(engine), "the collector knows it", PATIENCE_S)
                digest = fleet("publish", new, "--trust", trust, "--database", database, "--bundles", shelf)["digest"]
                planned = (
                    "plan",
                    digest,
                    "--url",
                    f"http://127.0.0.1:{port}",
                    "--ring",
                    "100%",
                    "--database",
                    database,
                )
                rollout = str(fleet(*planned)["id"])
                fleet("start", rollout, "--database", database)
                until(lambda: slots.active_bundle().name == "new.onnx", "it is installed", PATIENCE_S)
            with started_agent(*agent, log=log) as process:  # it was killed; so it is again
                until(lambda: said() == "trial", "it counts on trial", PATIENCE_S)
                os.kill(process.pid, signal.SIGKILL)
            with started_agent(*agent, log=log):
                until(lambda: said() == "active", "it passed its trial", PATIENCE_S)
                fleet("abort", rollout, "--database", database)
                until(lambda: said() == "rolled_back", "it is told to return", PATIENCE_S)
                assert slots.active_bundle().name == "old.onnx"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def known(engine) -> bool:
    with engine.begin() as connection:
        return bool(connection.exec_driver_sql("SELECT 1 FROM traps WHERE trap = 't-1'").first())
