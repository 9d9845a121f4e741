"""A fleet with a real mosquitto behind its own configuration, and peers that try the door."""

import ssl
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from trap_contract.topics import TrapAddress
from trap_deploy.demo import find_mosquitto
from trap_deploy.ports import free_port
from trap_server.fleet.authority import Fleet, Plan, init_fleet, open_fleet
from trap_server.fleet.certificates import Signer, Use, certificate_pem, key_pem, new_key, sign_certificate
from trap_server.fleet.registry import Lock
from trap_server.fleet.traps import Trap
from waiting import until

PASSPHRASE = "correct horse battery"
LOCK = Lock(salt="5a" * 16, n=2)  # the real one takes a fifth of a second, each time
HOST = "127.0.0.1"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def make_fleet(folder: Path, port: int = 8883, reload: str = "", at: datetime | None = None) -> Fleet:
    """What `trap-fleet init` makes."""
    return init_fleet(folder, Plan((HOST, "broker.example"), port, reload, "root"), PASSPHRASE, LOCK, at or now())


@dataclass
class RunningFleet:
    """A fleet folder and the mosquitto that serves it."""

    fleet: Fleet
    signer: Signer
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.fleet.folder / "log").read_text(errors="replace")

    def trap(self, name: str, tenant: str = "demo") -> Trap:
        return Trap(self.fleet, self.signer, TrapAddress(tenant, name))

    def enrolled(self, name: str, tenant: str = "demo", days: int = 30) -> Trap:
        trap = self.trap(name, tenant)
        trap.enrol(days, now())
        self.fleet.publish_rules(now())
        return trap

    def peer(self, folder: Path, stem: str = "trap", client_id: str = "any", **options: object) -> "Peer":
        return Peer(self.fleet.registry.port, folder / "ca.pem", folder / f"{stem}.pem", client_id, **options)

    def collector(self, **options: object) -> "Peer":
        return self.peer(self.fleet.folder / "collectors" / "collector", "collector", **options)

    def await_reload(self, count: int) -> None:
        until(lambda: self.log.count("Reloading config") >= count, "the broker reads its files anew")

    @property
    def reloads(self) -> int:
        return self.log.count("Reloading config")


@contextmanager
def running_fleet(folder: Path, *, verbose: bool = True) -> Iterator[RunningFleet]:
    """A new fleet whose broker listens; both end with the block."""
    fleet = make_fleet(folder, free_port())
    with serving(fleet, verbose=verbose) as running:
        yield running


@contextmanager
def serving(fleet: Fleet, *, verbose: bool = True) -> Iterator[RunningFleet]:
    """The mosquitto of a fleet; it logs more than by its configuration alone if it is verbose."""
    flags = ["-v"] if verbose else []
    command = [find_mosquitto(), *flags, "-c", str(fleet.folder / "broker" / "mosquitto.conf")]
    with (fleet.folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    running = RunningFleet(fleet, fleet.unlock(PASSPHRASE, now()), process)
    try:
        until(lambda: " running" in running.log or process.poll() is not None, "mosquitto listens")
        assert process.poll() is None, running.log
        yield running
    finally:
        process.kill()
        process.wait()


def reopened(fleet: Fleet) -> Fleet:
    """As the next command finds it."""
    with open_fleet(fleet.folder) as again:
        return again


def new_pair(signer: Signer, use: Use, name: str, ends: timedelta, hosts: Iterable[str] = ()) -> tuple[bytes, bytes]:
    """A certificate that is good until `ends` from now, and its new key; PEM."""
    key = new_key()
    certificate = sign_certificate(signer, use, name, key.public_key(), now() + ends, hosts=hosts)
    return certificate_pem(certificate), key_pem(key)


def write_pair(running: RunningFleet, folder: Path, name: str, use: Use, ends: timedelta) -> Path:
    """A certificate made to order, as trap.pem and trap.key in a new folder."""
    folder.mkdir()
    certificate, key = new_pair(running.signer, use, name, ends)
    (folder / "trap.pem").write_bytes(certificate)
    (folder / "trap.key").write_bytes(key)
    (folder / "ca.pem").write_bytes(running.fleet.authority_pem)
    return folder


@dataclass
class Peer:
    """A client that keeps what it is told; `cert` of None shows no certificate."""

    port: int
    ca: Path
    cert: Path | None
    client_id: str = "any"
    will: str | None = None
    tls: bool = True
    strict: bool = True
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)
    connected: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    why: str = ""

    def __enter__(self) -> Self:
        assert self.knock(), f"{self.cert}: {self.why}"
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def knock(self) -> bool:
        """Connect once; whether the broker took us."""
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, self.client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = lambda _c, _d, message: self.heard.append((message.topic, message.payload))
        self.client.on_publish = lambda _c, _d, mid, reason, _p: self.reasons.update({mid: str(reason)})
        self.client.on_subscribe = lambda _c, _d, mid, reasons, _p: self.reasons.update({mid: str(reasons)})
        if self.will:
            self.client.will_set(self.will, b"gone", 1)
        if self.tls:
            self.client.tls_set_context(self._context())
        try:
            self.client.connect(HOST, self.port, 30, clean_start=False, properties=_session())
        except OSError as error:
            self.why = str(error)
            return False
        self.client.loop_start()
        until(lambda: self.connected.is_set() or self.closed.is_set(), "the broker answers")
        return self.connected.is_set()

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> str:
        """The broker's answer to a message."""
        mid = self.client.publish(topic, payload, qos=1, retain=retain).mid
        until(lambda: mid in self.reasons, f"{topic} is answered")
        return self.reasons[mid]

    def subscribe(self, *topics: str) -> None:
        """Subscribed on return, if the broker likes it or not."""
        _, mid = self.client.subscribe([(topic, 1) for topic in topics])
        until(lambda: mid in self.reasons, "the subscription is answered")

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        if self.strict:
            context.verify_flags |= ssl.VERIFY_X509_STRICT
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.cert.with_suffix(".key"))
        return context

    def _on_connect(self, _client, _data, _flags, reason, _properties):
        self.why = str(reason)
        if not reason.is_failure:
            self.connected.set()

    def _on_disconnect(self, _client, _data, _flags, reason, _properties):
        self.why = str(reason)
        self.closed.set()


def _session() -> Properties:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    return properties
