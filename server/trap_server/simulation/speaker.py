"""One MQTT connection that speaks for simulated traps: for one, as in the field, or for many, to save connections."""

import threading
from collections.abc import Sequence

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from trap_contract.broker import BrokerAddress
from trap_contract.errors import MessageError
from trap_contract.messages import Ack, Resend, parse_message
from trap_contract.topics import ACK, BIRTH, COUNTS, LOST, RESEND, STATE, TrapAddress, parse_topic

from trap_server.simulation.trap import SimulatedTrap

KEEPALIVE_S = 10
MOST_WAITING = 2000


class Speaker:
    """Sends what its traps want to send, and lets them hear; `lock` guards the traps, who hear on another thread."""

    def __init__(self, address: BrokerAddress, client_id: str, traps: Sequence[SimulatedTrap]) -> None:
        self.traps = traps
        self.lock = threading.Lock()
        self._by_address: dict[TrapAddress, SimulatedTrap] = {trap.address: trap for trap in traps}
        self._ready = threading.Event()
        self._client = self._build_client(address, client_id)

    @property
    def is_ready(self) -> bool:
        """Whether it is connected and hears."""
        return self._ready.is_set()

    def start(self) -> None:
        """Connect in the background, and again whenever the connection ends."""
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def introduce(self, trap: SimulatedTrap, now_ms: int) -> None:
        """What a trap says at every connect."""
        self._say(trap, BIRTH, trap.birth().model_dump_json().encode(), retain=True)
        self._say(trap, STATE, trap.state("online", now_ms).model_dump_json().encode(), retain=True)

    def send(self, trap: SimulatedTrap, now_s: float) -> int:
        """Everything that this trap wants to send now; returns how many messages of counts."""
        if not self.is_ready or len(self._client._out_messages) > MOST_WAITING:  # noqa: SLF001  paho has no other way
            return 0
        with self.lock:
            counts, lost = trap.take_counts(now_s), trap.take_lost(now_s)
        for payload in counts:
            self._say(trap, COUNTS, payload)
        for payload in lost:
            self._say(trap, LOST, payload)
        return len(counts)

    def say_raw(self, topic: str, payload: bytes) -> None:
        """Any bytes on any topic."""
        self._client.publish(topic, payload, qos=1)

    def _say(self, trap: SimulatedTrap, leaf: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(trap.address.topic(leaf), payload, qos=1, retain=retain)

    def _build_client(self, address: BrokerAddress, client_id: str) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        client.suppress_exceptions = True
        client.reconnect_delay_set(1, 5)
        client.max_inflight_messages_set(100)
        if address.username is not None:
            client.username_pw_set(address.username, address.password)
        if (context := address.tls_context()) is not None:
            client.tls_set_context(context)
        client.on_connect = lambda *_: self._listen()
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_disconnect = lambda *_: self._ready.clear()
        client.on_message = lambda _client, _data, message: self._hear(message.topic, bytes(message.payload))
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        client.connect_async(address.host, address.port, KEEPALIVE_S, clean_start=False, properties=properties)
        return client

    def _listen(self) -> None:
        topics = [(trap.address.topic(leaf), 1) for trap in self.traps for leaf in (ACK, RESEND)]
        for first in range(0, len(topics), 100):
            self._client.subscribe(topics[first : first + 100])

    def _hear(self, topic: str, payload: bytes) -> None:
        try:
            address, leaf = parse_topic(topic)
            said: Ack | Resend = parse_message(Ack, payload) if leaf == ACK else parse_message(Resend, payload)
        except MessageError:
            return
        with self.lock:
            self._by_address[address].hear(said)
