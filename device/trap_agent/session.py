"""One connection to the broker, from CONNECT to its end; the only module that knows paho.

A client object serves one connection only, so nothing that paho remembers of an earlier one (packet ids, queued
messages) can settle or resend anything in this one. All callbacks run inside `turn`, on the caller's thread.
"""

import select
import ssl
import time
from dataclasses import dataclass
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import BaseModel
from trap_contract.broker import BrokerAddress
from trap_contract.errors import DeliveryError, MessageError
from trap_contract.logs import log
from trap_contract.topics import ACK, COMMAND, COUNTS, DESIRED, RESEND, SETTINGS, STATE, TrapAddress, parse_topic

from trap_agent.home_assistant import Post

_KEEPALIVE_S = 30
_HANDSHAKE_S = 10.0
_SESSION_EXPIRY_S = 7 * 24 * 3600
_WILL_DELAY_S = 60
_RECEIVE_MAXIMUM = 20
UNHEARD = "No matching subscribers"
"""What MQTT 5 calls it when nobody listens (reason code 0x10)."""
_TAKEN_OVER = 0x8E
_DEFAULT_RECEIVE_MAXIMUM = 65535
_HEADER_BYTES = 256
"""More than the MQTT 5 header, topic and properties of any message of ours."""
_ENDLESS_BYTES = 268_435_455
_HEARD = (ACK, RESEND, COMMAND, DESIRED, SETTINGS)


@dataclass(frozen=True, slots=True)
class Heard:
    """A message from the collector, and the seconds that the broker would still have kept it, if it says so."""

    leaf: str
    payload: bytes
    is_retained: bool
    expiry_s: int | None = None


class Session:
    """A subscribed connection of one trap."""

    def __init__(self, broker: BrokerAddress, trap: TrapAddress, tls: ssl.SSLContext | None, will: BaseModel) -> None:
        self.is_taken_over = False
        self.receive_maximum = _DEFAULT_RECEIVE_MAXIMUM
        self._broker = broker
        self._trap = trap
        self.most_bytes = _ENDLESS_BYTES
        self._heard: list[Heard] = []
        self._lost: str | None = None
        self._is_subscribed = False
        self._counts: set[int] = set()
        self.refusals: set[str] = set()
        self._unanswered: set[int] = set()
        self._client = self._new_client(tls, will)

    def open(self) -> None:
        """Connect, and subscribe to what the collector says.

        Raises DeliveryError when the broker can't be reached, refuses us, or does not answer.
        """
        properties = _properties(
            PacketTypes.CONNECT, SessionExpiryInterval=_SESSION_EXPIRY_S, ReceiveMaximum=_RECEIVE_MAXIMUM
        )
        try:
            self._client.connect(
                self._broker.host, self._broker.port, _KEEPALIVE_S, clean_start=False, properties=properties
            )
        except (OSError, ValueError) as error:
            raise DeliveryError(f"broker {self._broker} can't be reached: {error}") from error
        deadline = time.monotonic() + _HANDSHAKE_S
        while not self._is_subscribed:
            if time.monotonic() > deadline:
                raise DeliveryError(f"broker {self._broker} does not answer within {_HANDSHAKE_S:.0f} s")
            self._work(0.1)  # not `turn`: messages that waited for us come before the SUBACK

    def turn(self, timeout_s: float) -> list[Heard]:
        """Let the network work, at most that long; what the collector said.

        Raises DeliveryError when the connection is lost.
        """
        self._work(timeout_s)
        heard, self._heard = self._heard, []
        return heard

    def _work(self, timeout_s: float) -> None:
        connection = self._client.socket()
        if connection is None or self._lost is not None:
            raise DeliveryError(f"broker {self._broker}: {self._lost or 'connection lost'}")
        is_decrypted = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
        writers = [connection] if self._client.want_write() else []
        readable, writable, _ = select.select([connection], writers, [], 0 if is_decrypted else timeout_s)
        if readable or is_decrypted:
            self._client.loop_read()
        if writable:
            self._client.loop_write()
        self._client.loop_misc()

    def publish(self, leaf: str, message: BaseModel, *, retain: bool = False) -> bool:
        """Send at QoS 1; False when the broker takes no message as large as this one.

        That the broker takes it means nothing; that it refuses is logged, once a reason.
        """
        properties = _properties(PacketTypes.PUBLISH, PayloadFormatIndicator=1, ContentType="application/json")
        topic, payload = self._trap.topic(leaf), message.model_dump_json().encode()
        if len(payload) + _HEADER_BYTES > self.most_bytes:
            return False
        mid = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties).mid
        self._unanswered.add(mid)
        if leaf == COUNTS:
            self._counts.add(mid)
        return True

    def post(self, post: Post) -> None:
        """Send what is not the trap's protocol, at QoS 1."""
        wanted: dict[str, object] = {"PayloadFormatIndicator": 1, "ContentType": "application/json"}
        if post.expiry_s is not None:
            wanted["MessageExpiryInterval"] = post.expiry_s
        properties = _properties(PacketTypes.PUBLISH, **wanted)
        sent = self._client.publish(post.topic, post.text, qos=1, retain=post.is_retained, properties=properties)
        self._unanswered.add(sent.mid)

    def farewell(self, timeout_s: float = 2.0) -> None:
        """Wait a moment until the broker has taken what was published. Raises DeliveryError when it is lost."""
        deadline = time.monotonic() + timeout_s
        while self._unanswered and time.monotonic() < deadline:
            self._work(0.05)

    def close(self) -> None:
        """Disconnect, in order where there is still a connection: then the will is not sent."""
        self._client.disconnect()

    def _new_client(self, tls: ssl.SSLContext | None, will: BaseModel) -> mqtt.Client:
        name = f"{self._trap.tenant}-{self._trap.trap}"
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        if tls is not None:
            client.tls_set_context(tls)
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        properties = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=_WILL_DELAY_S)
        client.will_set(self._trap.topic(STATE), will.model_dump_json(), 1, retain=True, properties=properties)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._lost = f"refused: {reason}: check user, password or certificate, and that this trap is enrolled"
            return
        self.receive_maximum = getattr(properties, "ReceiveMaximum", _DEFAULT_RECEIVE_MAXIMUM)
        self.most_bytes = getattr(properties, "MaximumPacketSize", _ENDLESS_BYTES)
        client.subscribe([(self._trap.topic(leaf), 1) for leaf in _HEARD])

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        for leaf, reason in zip(_HEARD, reasons, strict=True):
            if reason.is_failure:
                topic = self._trap.topic(leaf)
                log.error("subscription refused: check the broker's ACL", topic=topic, reason=str(reason))
                self._lost = f"subscription to {topic} refused: {reason}" if leaf == ACK else self._lost
        self._is_subscribed = self._lost is None

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._unanswered.discard(mid)
        is_counts = mid in self._counts
        self._counts.discard(mid)
        is_bad = reason.is_failure or (is_counts and str(reason) == UNHEARD)
        if is_bad and str(reason) not in self.refusals:
            self.refusals.add(str(reason))
            log.warning("publish not delivered, the windows are kept", reason=str(reason), broker=str(self._broker))

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            _, leaf = parse_topic(message.topic)
        except MessageError as error:  # a filter that an older agent of this name left in the session
            log.warning("message ignored", error=str(error))
            return
        expiry_s = getattr(message.properties, "MessageExpiryInterval", None)
        self._heard.append(Heard(leaf, bytes(message.payload), message.retain, expiry_s))

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self.is_taken_over = reason.value == _TAKEN_OVER
        if self._lost is None:
            self._lost = f"connection lost: {reason}"


def _properties(kind: int, **values: object) -> Properties:
    properties = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
