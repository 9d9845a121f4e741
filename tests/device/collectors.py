"""A collector of a few lines, raw paho: it keeps what it gets in memory and acknowledges if told to."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import BaseModel
from trap_contract.messages import Ack, Answer, CountBatch, Evidence, Health, Lost, Window, parse_message, ranges_of
from trap_contract.topics import (
    ACK,
    ANSWER,
    BIRTH,
    COUNTS,
    EVIDENCE,
    HEALTH,
    LOST,
    STATE,
    TrapAddress,
    parse_topic,
    subscription,
)
from waiting import DEADLINE_S

Key = tuple[str, int]

_NUMBERS = itertools.count()


class TinyCollector:
    """Stores every batch; `acks` says whether, and `before_ack` may look first."""

    def __init__(self, port: int, *, acks: bool = True) -> None:
        self.acks = acks
        self.batches: list[CountBatch] = []
        self.stored: dict[Key, Window] = {}
        self.retained: dict[str, bytes] = {}
        self.lost: list[Lost] = []
        self.health: list[Health] = []
        self.answers: list[Answer] = []
        self.evidence: list[Evidence] = []
        self._subscribed = threading.Event()
        name = f"tiny-collector-{next(_NUMBERS)}"
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(
        self, topic: str, payload: bytes | str, expiry_s: int | None = None, *, is_retained: bool = False
    ) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        sent = self._client.publish(topic, payload, qos=1, retain=is_retained, properties=properties)
        sent.wait_for_publish(DEADLINE_S)

    def seqs(self, boot: str) -> list[int]:
        """Numbers stored of one boot, in order."""
        return sorted(seq for of, seq in self.stored if of == boot)

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe([(subscription(leaf), 1) for leaf in (COUNTS, STATE, BIRTH, LOST, HEALTH, ANSWER, EVIDENCE)])

    def _on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        address, leaf = parse_topic(message.topic)
        told: dict[str, tuple[list[Any], type[BaseModel]]]
        told = {LOST: (self.lost, Lost), HEALTH: (self.health, Health), ANSWER: (self.answers, Answer)}
        if leaf in told:
            into, kind = told[leaf]
            into.append(parse_message(kind, message.payload))
            return
        if leaf == EVIDENCE:
            self._take_picture(client, address, parse_message(Evidence, message.payload))
            return
        if leaf != COUNTS:
            self.retained[leaf] = message.payload
            return
        batch = parse_message(CountBatch, message.payload)
        self.batches.append(batch)
        self.stored |= {(window.boot, window.seq): window for window in batch.windows}
        if self.acks:
            keys = [(window.boot, window.seq) for window in batch.windows]
            ack = Ack(trap=batch.trap, ranges=ranges_of(keys))
            client.publish(address.topic(ACK), ack.model_dump_json(), qos=1)

    def _take_picture(self, client: mqtt.Client, address: TrapAddress, evidence: Evidence) -> None:
        self.evidence.append(evidence)
        if self.acks:
            ack = Ack(trap=evidence.trap, evidence=(evidence.id,))
            client.publish(address.topic(ACK), ack.model_dump_json(), qos=1)


@contextmanager
def tiny_collector(port: int, *, acks: bool = True) -> Iterator[TinyCollector]:
    collector = TinyCollector(port, acks=acks)
    try:
        yield collector
    finally:
        collector.close()
