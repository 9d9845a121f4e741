"""A trap for tests: raw paho, windows made to order, and the acknowledgements and requests that came back."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from trap_contract.messages import (
    Ack,
    AckRange,
    Birth,
    Clock,
    Command,
    CountBatch,
    Effort,
    ModelRef,
    Resend,
    State,
    Window,
    parse_message,
)
from trap_contract.topics import ACK, BIRTH, COMMAND, COUNTS, RESEND, STATE, TrapAddress
from waiting import DEADLINE_S

BOOT = "0" * 31 + "1"
MODEL = ModelRef(id="yolov8n_kd", sha256="ab" * 32, threshold=0.35, backend="tflite")
CLASSES = ("Female", "Male", "Incomplete", "Out of Focus", "Undefined")
NOON_MS = 1_790_000_000_000


def make_window(
    seq: int, females: int | None = 3, males: int = 1, boot: str = BOOT, wall_ms: int | None = None, **changes: Any
) -> Window:
    """A minute of counts; `females=None` for a window in which no frame was analysed."""
    counts = None if females is None else dict(zip(CLASSES, (females, males, 0, 2, 0), strict=True))
    frames = 0 if females is None else 600
    values: dict[str, Any] = {
        "boot": boot,
        "seq": seq,
        "wall_ms": NOON_MS + seq * 60_000 if wall_ms is None else wall_ms,
        "mono_ms": seq * 60_000,
        "duration_ms": 60_000,
        "clock": Clock(synced=True, source="ntp"),
        "semantics": "occupancy",
        "counts": counts,
        "effort": Effort(observed_s=frames / 10, frames_seen=frames, frames_analysed=frames),
        "model": MODEL,
    }
    return Window(**(values | changes))


def make_batch(windows: Iterable[Window], trap: str = "t1") -> bytes:
    """The payload of one message on `counts`."""
    return CountBatch(trap=trap, sent_wall_ms=NOON_MS, windows=tuple(windows)).model_dump_json().encode()


def make_birth(trap: str = "t1", boot: str = BOOT, **changes: Any) -> Birth:
    """What a trap says of itself at every connect."""
    values = {"agent_version": "0.1.0", "board": "Raspberry Pi 5", "classes": CLASSES, "semantics": "occupancy"}
    return Birth(trap=trap, boot=boot, model=MODEL, window_s=60, **(values | changes))


def make_state(state: str, trap: str = "t1", boot: str = BOOT) -> State:
    """A word on `state`."""
    return State.model_validate({"trap": trap, "state": state, "boot": boot, "wall_ms": NOON_MS})


@dataclass
class FakeTrap:
    """Publishes what it is told, and collects (boot, seq) keys that were acknowledged."""

    port: int
    name: str = "t1"
    tenant: str = "demo"
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    asked: list[AckRange] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    client: paho.Client = field(init=False)
    ready: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self.client = paho.Client(CallbackAPIVersion.VERSION2, f"{self.tenant}-{self.name}", protocol=paho.MQTTv5)
        heard = [(self.address.topic(leaf), 1) for leaf in (ACK, RESEND, COMMAND)]
        self.client.on_connect = lambda client, *_: client.subscribe(heard)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self._on_message
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", self.port, clean_start=False, properties=properties)
        self.client.loop_start()
        assert self.ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    @property
    def address(self) -> TrapAddress:
        return TrapAddress(self.tenant, self.name)

    def send(self, *windows: Window) -> None:
        """One message on `counts`, in the broker's hands on return."""
        self.send_raw(make_batch(windows, self.name))

    def send_raw(self, payload: bytes | str, leaf: str = COUNTS, *, retain: bool = False) -> None:
        """Any bytes on any leaf."""
        self.client.publish(self.address.topic(leaf), payload, qos=1, retain=retain).wait_for_publish(DEADLINE_S)

    def introduce(self, **changes: Any) -> None:
        """Birth and state, as an agent does at every connect."""
        birth = make_birth(self.name, **changes)
        self.send_raw(birth.model_dump_json(), BIRTH, retain=True)
        self.send_raw(make_state("online", self.name, birth.boot).model_dump_json(), STATE, retain=True)

    def holds_acks_for(self, count: int) -> bool:
        """Whether so many different windows were acknowledged."""
        return len(set(self.acknowledged)) >= count

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic.endswith(RESEND):
            self.asked += parse_message(Resend, bytes(message.payload)).ranges
            return
        if message.topic.endswith(COMMAND):
            self.commands.append(parse_message(Command, bytes(message.payload)))
            return
        ack = parse_message(Ack, bytes(message.payload))
        self.evidence += ack.evidence
        for one in ack.ranges:
            self.acknowledged += [(one.boot, seq) for seq in range(one.first, one.last + 1)]
