"""The MQTT edge: keeps one connection to the broker, queues what comes, acknowledges what was committed."""

import contextlib
import random
import socket
import threading
import time

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from trap_contract.backoff import Backoff
from trap_contract.broker import BrokerAddress
from trap_contract.logs import log
from trap_contract.messages import Ack, Command, Resend
from trap_contract.topics import (
    ACK,
    ANSWER,
    BIRTH,
    COMMAND,
    COUNTS,
    EVIDENCE,
    HEALTH,
    LOST,
    RESEND,
    STATE,
    TrapAddress,
    subscription,
)

from trap_server.inbox import Delivery, Inbox, Token
from trap_server.sorting import Arrival

SESSION_EXPIRY_S = 7 * 24 * 3600
RECEIVE_MAXIMUM = 1000  # twice a batch: the broker sends on while a batch is being committed
KEEPALIVE_S = 30
STUCK_S = 60.0
TICK_S = 1.0
GOODBYE_S = 10.0
REFUSED = 0x80
RETAINED = (STATE, BIRTH)
LEAVES = (COUNTS, LOST, *RETAINED, HEALTH, ANSWER, EVIDENCE)


class Subscriber:
    """A paho client under our own reconnect loop; paho's own has no jitter and no generations."""

    def __init__(
        self, address: BrokerAddress, client_id: str, inbox: Inbox, rng: random.Random, stuck_s: float = STUCK_S
    ) -> None:
        self._address = address
        self._inbox = inbox
        self._stuck_s = stuck_s
        self._backoff = Backoff(base_s=0.5, cap_s=15.0, rng=rng)
        self._generation = 0
        self._closed = threading.Event()
        self._stopping = threading.Event()
        self._subscribed = threading.Event()
        self._said = ""
        self._client = self._build_client(client_id)
        self._thread = threading.Thread(target=self._keep_connected, name="subscriber", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the broker has granted every subscription on the present connection."""
        return self._subscribed.is_set()

    def start(self) -> None:
        """Connect in the background, and again whenever the connection ends."""
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye to the broker, which keeps the session."""
        self._stopping.set()
        if self._client.is_connected():
            self._client.disconnect()
        self._thread.join(timeout=GOODBYE_S)

    def acknowledge(self, token: Token) -> bool:
        """PUBACK one message. False when its connection is gone."""
        return self._inbox.settle(token, self._client.ack)

    def tell(self, address: TrapAddress, message: Ack | Resend | Command, expiry_s: int | None = None) -> None:
        """Tell a trap something, never retained; queued until the broker takes it, which keeps it for `expiry_s`."""
        leaf = {Ack: ACK, Resend: RESEND, Command: COMMAND}[type(message)]
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        self._client.publish(address.topic(leaf), message.model_dump_json(), qos=1, properties=properties)

    def _build_client(self, client_id: str) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, manual_ack=True, reconnect_on_failure=False
        )
        client.suppress_exceptions = True  # an exception would end paho's thread without a word; see _on_log
        client.on_log = self._on_log
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        self._secure(client)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        # MQTT 5 in paho would otherwise wipe the queue that the broker kept at the first connect of a process.
        client.connect_async(
            self._address.host, self._address.port, KEEPALIVE_S, clean_start=False, properties=properties
        )
        return client

    def _secure(self, client: paho.Client) -> None:
        address = self._address
        if address.username is not None:
            client.username_pw_set(address.username, address.password)
        if (context := address.tls_context()) is not None:
            client.tls_set_context(context)

    def _keep_connected(self) -> None:
        while not self._stopping.is_set():
            began_s = time.monotonic()
            self._hold_connection()
            self._stopping.wait(self._backoff.wait_s(time.monotonic() - began_s))

    def _hold_connection(self) -> None:
        """Connect once and return when that connection has ended."""
        self._generation = self._inbox.begin_generation()
        self._closed.clear()
        try:
            self._client.reconnect()
        except OSError as error:
            self._say("broker_unreachable", reason=str(error), next_step="check the address; trying again")
            return
        self._client.loop_start()
        while not self._closed.wait(TICK_S):
            if self._stopping.is_set():
                self._drop()
            elif self._inbox.oldest_age_s(time.monotonic()) > self._stuck_s:
                log.warning("message_stuck", seconds=self._stuck_s, next_step="connecting anew; the broker sends again")
                self._drop()
        self._subscribed.clear()
        self._client.loop_stop()

    def _drop(self) -> None:
        connection = self._client.socket()
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):  # closed meanwhile: what was wanted
                connection.shutdown(socket.SHUT_RDWR)

    def _say(self, event: str, **details: object) -> None:
        """Log a change of state, once."""
        if (said := f"{event} {details}") != self._said:
            self._said = said
            (log.info if event == "broker_connected" else log.warning)(event, broker=str(self._address), **details)

    def _on_connect(
        self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._say("broker_refuses", reason=str(reason), next_step="check user, password or certificate")
            return
        no_replay = SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        retained = SubscribeOptions(qos=1)
        client.subscribe([(subscription(leaf), retained if leaf in RETAINED else no_replay) for leaf in LEAVES])

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        refused = [leaf for leaf, reason in zip(LEAVES, reasons, strict=True) if reason.is_failure]
        if refused:
            next_step = "allow the collector to read these topics in the broker's access rules"
            topics = ", ".join(subscription(leaf) for leaf in refused)
            self._say("subscription_refused", topics=topics, next_step=next_step)
            self._drop()
        else:
            self._say("broker_connected")
            self._subscribed.set()

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if not self._stopping.is_set() and self._subscribed.is_set():
            self._say("broker_lost", reason=str(reason), next_step="connecting again")
        self._closed.set()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        arrival = Arrival(message.topic, bytes(message.payload), message.retain, time.time_ns() // 1_000_000)
        delivery = Delivery(arrival, Token(self._generation, message.mid, message.qos))
        if not self._inbox.put(delivery, time.monotonic()):
            log.warning("inbox_full", topic=message.topic, next_step="left with the broker, which sends it again")

    def _on_publish(
        self, _client: paho.Client, _data: object, _mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.value >= REFUSED:
            topics = ", ".join(subscription(leaf) for leaf in (ACK, RESEND, COMMAND))
            log.error("ack_refused", reason=str(reason), next_step=f"allow the collector to write {topics}")

    def _on_log(self, _client: paho.Client, _data: object, level: int, text: str) -> None:
        if level == paho.MQTT_LOG_ERR and text.startswith("Caught exception"):  # its other errors are said above
            log.error("callback_failed", text=text)
