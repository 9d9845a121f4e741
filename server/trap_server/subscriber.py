"""The MQTT edge: keeps one connection to the broker, queues what comes, acknowledges what was committed."""

import contextlib
import logging
import random
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from trap_contract.backoff import Backoff
from trap_contract.broker import BrokerAddress
from trap_contract.logs import log
from trap_contract.messages import Ack, Command, Resend, WantedSettings
from trap_contract.rollout import Desired
from trap_contract.topics import (
    ACK,
    ANSWER,
    BIRTH,
    COMMAND,
    COUNTS,
    DESIRED,
    EVIDENCE,
    HEALTH,
    LOST,
    PROGRESS,
    RESEND,
    SETTINGS,
    STATE,
    TrapAddress,
    subscription,
)

from trap_server.buffered import BufferedClient, BufferedSocket
from trap_server.inbox import RECEIVE_MAXIMUM, Delivery, Inbox, Token
from trap_server.packets import Publish, puback
from trap_server.sorting import Arrival

SESSION_EXPIRY_S = 7 * 24 * 3600
SHARED_EXPIRY_S = 5 * 60  # some brokers queue for an absent member until then; its traps send again
KEEPALIVE_S = 30
STUCK_S = 60.0
TICK_S = 1.0
PACKETS_A_TURN, BYTES_A_TURN = 200, 2**20
GOODBYE_S = 10.0
REFUSED = 0x80
RETAINED = (STATE, BIRTH, PROGRESS)
LEAVES = (COUNTS, LOST, *RETAINED, HEALTH, ANSWER, EVIDENCE)


class Subscriber:
    """A paho client under our own reconnect loop; paho's own has no jitter and no generations."""

    def __init__(
        self,
        address: BrokerAddress,
        client_id: str,
        inbox: Inbox,
        rng: random.Random,
        *,
        stuck_s: float = STUCK_S,
        share: str = "",
    ) -> None:
        self._share = share
        self._address = address
        self._inbox = inbox
        self._stuck_s = stuck_s
        self._backoff = Backoff(base_s=0.5, cap_s=15.0, rng=rng)
        self._generation = 0
        self._closed = threading.Event()
        self._stopping = threading.Event()
        self._subscribed = threading.Event()
        self._settled: deque[Token] = deque()
        self._said = ""
        self._wake_from, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._arrived: list[Delivery] = []
        self._arrived_bytes = 0
        self._client = self._build_client(client_id)
        self._thread = threading.Thread(target=self._keep_connected, name="subscriber", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the broker has granted every subscription on the present connection."""
        return self._subscribed.is_set()

    @property
    def generation(self) -> int:
        """Number of the present connection, or of the last one."""
        return self._generation

    def start(self) -> None:
        """Connect in the background, and again whenever the connection ends."""
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye to the broker, which keeps the session."""
        self._stopping.set()
        self._wake_up()
        self._thread.join(timeout=GOODBYE_S)

    def acknowledge(self, tokens: Iterable[Token]) -> int:
        """PUBACK messages in their order. Returns how many of them are of a connection that is gone."""
        given = list(tokens)
        good = self._inbox.settle(given)
        self._settled.extend(good)
        self._wake_up()
        return len(given) - len(good)

    def tell(self, address: TrapAddress, message: Ack | Resend | Command, expiry_s: int | None = None) -> None:
        """Tell a trap something, never retained; queued until the broker takes it, which keeps it for `expiry_s`."""
        leaf = {Ack: ACK, Resend: RESEND, Command: COMMAND}[type(message)]
        properties = _expiring(expiry_s)
        self._client.publish(address.topic(leaf), message.model_dump_json(), qos=1, properties=properties)

    def leave(self, address: TrapAddress, wish: Desired | WantedSettings, expiry_s: int | None = None) -> None:
        """Leave word for a trap of what it shall count with or be set to, retained for `expiry_s`, or for good."""
        leaf = {Desired: DESIRED, WantedSettings: SETTINGS}[type(wish)]
        properties = _expiring(expiry_s)
        self._client.publish(address.topic(leaf), wish.model_dump_json(), qos=1, retain=True, properties=properties)

    def _build_client(self, client_id: str) -> BufferedClient:
        client = BufferedClient(
            CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, manual_ack=True, reconnect_on_failure=False
        )
        client.suppress_exceptions = True  # an exception would end paho's thread without a word; see _CallbackFailures
        client.enable_logger(_paho_log())  # not on_log: that is handed every packet as a text
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.arrived = self._on_arrival
        client.on_publish = self._on_publish
        client.on_socket_register_write = lambda *_: self._wake_up()  # and so nobody writes but our own loop
        self._secure(client)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SHARED_EXPIRY_S if self._share else SESSION_EXPIRY_S
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
        """Connect once and return when that connection has ended.

        The loop is ours, by paho's calls for such loops: its own waits anew for each packet, and wakes up for each
        PUBACK. And as one thread reads, acknowledges and begins anew, no token can outlive its connection unseen.
        """
        self._generation = self._inbox.begin_generation()
        self._arrived, self._arrived_bytes = [], 0
        self._closed.clear()
        try:
            self._client.reconnect()
        except OSError as error:
            self._say("broker_unreachable", reason=str(error), next_step="check the address; trying again")
            return
        while not self._closed.is_set():
            self._take_turn()
            if self._stopping.is_set():
                self._say_goodbye()
            elif self._inbox.oldest_age_s(time.monotonic()) > self._stuck_s:
                self._say("message_stuck", seconds=self._stuck_s, next_step="connecting anew; the broker sends again")
                self._drop()
        self._subscribed.clear()

    def _take_turn(self) -> None:
        """Wait for the broker or the writer, read, acknowledge, write.

        While the inbox has no room nothing more is read, so that the broker keeps it; pings and PUBACKs go out.
        """
        link = self._link()
        if link is None or link.fileno() < 0:
            self._closed.set()
            return
        pending = self._hand_on() and link.has_more()
        writing = [] if link.flush() else [link]
        reading: list[BufferedSocket | socket.socket] = [self._wake_from, *([] if self._arrived else [link])]
        ready, _, _ = select.select(reading, writing, [], 0 if pending else TICK_S)
        if self._wake_from in ready:
            self._wake_from.recv(4096)
        if pending or link in ready:
            self._read()
        self._puback(link)
        if self._client.want_write():
            self._client.loop_write()
        link.flush()
        self._client.loop_misc()

    def _read(self) -> None:
        for _ in range(PACKETS_A_TURN):
            if not self._client.read_packet() or self._arrived_bytes > BYTES_A_TURN:
                break
        self._hand_on()

    def _hand_on(self) -> bool:
        """Give what arrived to the writer; False while it has no room: tried again when it has acknowledged a batch."""
        if self._arrived and not self._inbox.put(self._arrived, time.monotonic()):
            return False
        self._arrived, self._arrived_bytes = [], 0
        return True

    def _puback(self, link: BufferedSocket) -> None:
        while self._settled:
            token = self._settled.popleft()
            if token.generation == self._generation and token.qos:
                link.send(puback(token.mid))

    def _say_goodbye(self) -> None:
        """Let the last PUBACKs go first, but not wait for a broker that takes nothing."""
        if (link := self._link()) is not None:
            self._puback(link)
        self._client.disconnect()
        self._client.loop_write()
        self._drop()

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):  # there are wake-ups enough
            self._wake.send(b"\0")

    def _drop(self) -> None:
        self._closed.set()  # whoever does not read, for want of room, does not see the end
        if (link := self._link()) is not None:
            with contextlib.suppress(OSError):  # closed meanwhile: what was wanted
                link.shutdown(socket.SHUT_RDWR)

    def _link(self) -> BufferedSocket | None:
        link = self._client.socket()
        return link if isinstance(link, BufferedSocket) else None

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
        client.subscribe([(self._filter(leaf), retained if leaf in RETAINED else no_replay) for leaf in LEAVES])
        if self._share:  # what this name asked for when it was alone is still in its session
            client.unsubscribe([subscription(leaf) for leaf in LEAVES if leaf not in RETAINED])

    def _filter(self, leaf: str) -> str:
        """Retained words go to every collector of a group: no broker shares them, and taking them twice is harmless."""
        shared = self._share and leaf not in RETAINED
        return f"$share/{self._share}/{subscription(leaf)}" if shared else subscription(leaf)

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        refused = [leaf for leaf, reason in zip(LEAVES, reasons, strict=True) if reason.is_failure]
        if refused:
            next_step = "allow the collector to read these topics in the broker's access rules"
            topics = ", ".join(map(self._filter, refused))
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

    def _on_arrival(self, message: Publish) -> None:
        arrival = Arrival(message.topic, message.payload, message.retained, time.time_ns() // 1_000_000)
        self._arrived.append(Delivery(arrival, Token(self._generation, message.mid, message.qos)))
        self._arrived_bytes += len(message.payload)

    def _on_publish(
        self, _client: paho.Client, _data: object, _mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.value >= REFUSED:
            topics = ", ".join(subscription(leaf) for leaf in (ACK, RESEND, COMMAND))
            log.error("ack_refused", reason=str(reason), next_step=f"allow the collector to write {topics}")


def _expiring(expiry_s: int | None) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    return properties


def _paho_log() -> logging.Logger:
    """Of what paho says only failures of our callbacks; its other errors are said above."""
    logger = logging.getLogger("paho")
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    logger.handlers = [_CallbackFailures()]
    return logger


class _CallbackFailures(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Say it our way."""
        if (text := record.getMessage()).startswith("Caught exception"):
            log.error("callback_failed", text=text)
