"""Seconds from a revocation to the end of a revoked trap's session, and to its first refusal seen.

A fleet of its own with a real mosquitto; a trap is enrolled, connected and revoked by the command's own code, several
times; that ends only when the broker was seen to refuse the trap. Not shown: the start of the program and the opening
of the authority's key (some two seconds together), a broker far away.
"""

import argparse
import json
import os
import platform
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from trap_contract.topics import TrapAddress
from trap_deploy.demo import find_mosquitto
from trap_deploy.ports import free_port
from trap_server.fleet.authority import open_fleet
from trap_server.fleet.live_broker import enforce
from trap_server.fleet.traps import Trap

HOST, PATIENCE_S, PASSPHRASE = "127.0.0.1", 120.0, "of a benchmark only"


def fleet(folder: Path, *arguments: str) -> None:
    """Run trap-fleet."""
    environment = {**os.environ, "TRAP_FLEET_PASSPHRASE": PASSPHRASE, "TRAP_FLEET_DIR": str(folder)}
    command = [sys.executable, "-m", "trap_server.fleet_commands", *arguments]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def connected(card: Path, port: int) -> tuple[paho.Client, threading.Event, threading.Event]:
    """A client with this card: itself, and whether it is in, and whether it was thrown out."""
    client, is_in, is_out = (
        paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5),
        threading.Event(),
        threading.Event(),
    )
    context = ssl.create_default_context(cafile=card / "ca.pem")
    context.load_cert_chain(card / "trap.pem", card / "trap.key")
    client.tls_set_context(context)
    client.on_connect = lambda _c, _d, _f, reason, _p: None if reason.is_failure else is_in.set()
    client.on_disconnect = lambda *_: is_out.set()
    client.connect(HOST, port)
    client.loop_start()
    return client, is_in, is_out


def one_round(folder: Path, port: int, name: str) -> tuple[float, float]:
    """Seconds until the session was closed, and until the broker was seen to refuse the trap."""
    fleet(folder, "enrol", name)
    client, is_in, is_out = connected(folder / "traps" / "default" / name, port)
    assert is_in.wait(PATIENCE_S), "the trap did not get in"
    closed_s: list[float] = []
    with open_fleet(folder) as opened:
        trap = Trap(opened, opened.unlock(PASSPHRASE, now()), TrapAddress("default", name))
        began_s = time.perf_counter()
        watcher = threading.Thread(
            target=lambda: closed_s.append(time.perf_counter() - began_s) if is_out.wait(PATIENCE_S) else None
        )
        watcher.start()
        trap.revoke(now())
        enforce(trap, now())
        seen_s = time.perf_counter() - began_s
    watcher.join()
    client.loop_stop()
    assert closed_s, "its session was not closed"
    return closed_s[0], seen_s


def now() -> datetime:
    """The second it is."""
    return datetime.now(UTC).replace(microsecond=0)


def main() -> None:
    """Several rounds, one broker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name) / "fleet", free_port()
        fleet(folder, "init", str(folder), "--host", HOST, "--port", str(port), "--broker-user", "root")
        broker = subprocess.Popen(
            [find_mosquitto(), "-c", str(folder / "broker" / "mosquitto.conf")], stderr=subprocess.DEVNULL
        )
        try:
            time.sleep(1)
            samples = [one_round(folder, port, f"trap-{number}") for number in range(given.rounds)]
        finally:
            broker.send_signal(signal.SIGTERM)
            broker.wait()
    told = {"command": " ".join(sys.argv), "python": platform.python_version(), "machine": platform.machine()}
    for what, values in zip(("closed_s", "refused_s"), zip(*samples, strict=True), strict=True):
        told[what] = {"median": round(statistics.median(values), 2), "samples": [round(one, 2) for one in values]}
    print(json.dumps(told) if given.json else "\n".join(f"{key}: {value}" for key, value in told.items()))


if __name__ == "__main__":
    main()
