"""The broker that is running: told to read its files anew, and made to close a session.

mosquitto reads the revocation list at SIGHUP, and refuses who connects from then on; a session that is open stays open
(seen with 2.0.11). So we connect once under the revoked name, with a certificate made for this moment: MQTT lets a
name have one session, and the broker closes the other (0x8E, session taken over). Then that certificate is revoked
too, and seen to be refused: proof that the broker took the list. Last, the rules deny the name: a connection that had
its handshake behind it, but not yet its CONNECT, gets in after all this, and may then say and hear nothing.
"""

import os
import shlex
import signal
import ssl
import subprocess
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode
from trap_contract.errors import DeliveryError

from trap_server.fleet.authority import Fleet
from trap_server.fleet.certificates import certificate_pem, key_pem, new_key, sign_certificate
from trap_server.fleet.enrolment import issued_trap
from trap_server.fleet.private_files import write_private
from trap_server.fleet.registry import Issued
from trap_server.fleet.traps import Trap

PATIENCE_S = 5.0
_KEEPALIVE_S = 30
_PROBE_LIFE = timedelta(days=1)


def reload(fleet: Fleet) -> None:
    """Make the broker read revocations, rules and certificates anew.

    Raises DeliveryError when it does not run or the operator's command fails.
    """
    if fleet.registry.reload:
        _run(fleet.registry.reload)
        return
    file = fleet.folder / "broker" / "data" / "mosquitto.pid"
    try:
        pid = int(file.read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() != "mosquitto":
            raise ProcessLookupError
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError) as error:
        raise DeliveryError(
            f"{file}: names no mosquitto that runs here and could be told to reload: start it with "
            f"{fleet.folder}/broker/mosquitto.conf, or where it runs elsewhere copy broker/ there and reload it"
        ) from error


def enforce(trap: Trap, now: datetime) -> None:
    """Make the broker follow a revocation: close the trap's session, refuse it, and be seen to refuse.

    Raises DeliveryError when that can't be seen; the files say it in any case.
    """
    with tempfile.TemporaryDirectory() as folder:
        probe, context = _make_probe(trap, now, Path(folder))
        try:
            reload(trap.fleet)
            is_closed = _is_taken(trap, context)
        finally:
            trap.fleet.save(trap.fleet.registry.revoking({probe.serial}, now))
            trap.fleet.publish_revocations(trap.signer, now)
            trap.fleet.publish_rules(now)  # not before: the broker still had to publish the will of the closed session
        reload(trap.fleet)
        deadline = time.monotonic() + PATIENCE_S
        while (is_open := is_closed and _is_taken(trap, context)) and time.monotonic() < deadline:
            pass
    if is_open or not is_closed:
        why = "does not take the new revocation list" if is_closed else "refuses every certificate of this authority"
        raise DeliveryError(f"{trap.name}: revoked, but the broker {why}: see its log, and restart it")


def _run(command: str) -> None:
    try:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=60, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise DeliveryError(f"--reload {command!r}: can't be run: {error}: reload the broker by hand") from error
    if done.returncode:
        why = done.stderr.strip() or f"exit status {done.returncode}"
        raise DeliveryError(f"--reload {command!r} failed: {why}: reload the broker by hand")


def _make_probe(trap: Trap, now: datetime, folder: Path) -> tuple[Issued, ssl.SSLContext]:
    key, fleet = new_key(), trap.fleet
    certificate = sign_certificate(trap.signer, "client", trap.name, key.public_key(), now + _PROBE_LIFE)
    probe = issued_trap(certificate, trap.address).model_copy(update={"is_superseded": True})
    fleet.save(fleet.registry.with_issued(probe))
    write_private(folder / "probe.pem", certificate_pem(certificate) + key_pem(key))
    context = ssl.create_default_context(cadata=fleet.authority_pem.decode())
    context.load_cert_chain(folder / "probe.pem")
    return probe, context


def _is_taken(trap: Trap, context: ssl.SSLContext) -> bool:
    """Whether the broker takes this certificate; the session that the name had is gone then.

    Raises DeliveryError when there is no broker.
    """
    answers: list[ReasonCode] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, trap.name, protocol=paho.MQTTv5)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(reason)
    client.tls_set_context(context)
    registry = trap.fleet.registry
    try:
        client.connect(registry.hosts[0], registry.port, _KEEPALIVE_S, clean_start=True)
        deadline = time.monotonic() + PATIENCE_S
        while not answers and client.loop(0.1) == paho.MQTT_ERR_SUCCESS and time.monotonic() < deadline:
            pass
        client.disconnect()
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):  # TLS 1.2 refuses within the handshake
        return False
    except OSError as error:
        raise DeliveryError(
            f"{trap.name}: revoked, but the broker at {trap.fleet.broker_url} can't be reached ({error}) to close "
            "a session that is open: restart it"
        ) from error
    return bool(answers) and not answers[0].is_failure
