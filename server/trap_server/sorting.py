"""What a batch of MQTT messages says: the pure core of ingest, without broker, database or clock.

What is made once a message is a named tuple: a frozen dataclass takes four times as long to make.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from trap_contract.errors import MessageError
from trap_contract.messages import Answer, Birth, CountBatch, Evidence, Health, Lost, State, Window, parse_message
from trap_contract.rollout import Progress
from trap_contract.topics import (
    ANSWER,
    BIRTH,
    COUNTS,
    EVIDENCE,
    HEALTH,
    LOST,
    PROGRESS,
    STATE,
    TrapAddress,
    parse_topic,
)

from trap_server.evidence import OfferedPicture, jpeg_size


class Arrival(NamedTuple):
    """One MQTT message as it came; `received_at_ms` is the collector's clock, UTC."""

    topic: str
    payload: bytes
    retained: bool
    received_at_ms: int


WindowKey = tuple[str, str, str, int]
"""Tenant, trap, boot, seq."""


class OfferedWindow(NamedTuple):
    """A valid window that a trap asks to be stored; `body` is its content in JSON, `digest` the SHA-256 of `body`.

    Equal digests mean equal contents; for unequal ones `Window.canonical` decides, which costs more than all the rest.
    """

    address: TrapAddress
    key: WindowKey
    window: Window
    body: str
    digest: str
    received_at_ms: int
    backlog: bool


class Sighting(NamedTuple):
    """A sign of life of one trap, and what it told of itself. None of `seen_at_ms` for a retained message."""

    address: TrapAddress
    seen_at_ms: int | None
    birth: Birth | None = None
    state: State | None = None
    window_ms: int | None = None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Windows that a trap says are gone for good."""

    address: TrapAddress
    lost: Lost
    received_at_ms: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a trap tells beside its counts."""

    address: TrapAddress
    message: Health | Answer | Progress
    received_at_ms: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that can't be understood, kept as it is; `evidence` is the id of a picture that is no picture."""

    arrival: Arrival
    reason: str
    address: TrapAddress | None
    evidence: str | None = None


@dataclass(slots=True)
class Batch:
    """Messages sorted by what must become of them; within each list in order of arrival.

    `newest_ms` is when the last of them came.
    """

    windows: list[OfferedWindow] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    given_up: list[GivenUp] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    pictures: list[OfferedPicture] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    newest_ms: int = 0


_Message = TypeVar("_Message", Birth, CountBatch, State, Lost, Health, Answer, Evidence, Progress)


def sort_arrivals(arrivals: Iterable[Arrival]) -> Batch:
    """Every message ends in exactly one place: what it says and a sighting, or a refusal with its reason."""
    batch = Batch()
    for arrival in arrivals:
        batch.newest_ms = max(batch.newest_ms, arrival.received_at_ms)
        address: TrapAddress | None = None
        try:
            address, leaf = parse_topic(arrival.topic)
            _sort(arrival, address, leaf, batch)
        except MessageError as error:
            batch.refusals.append(Refusal(arrival, str(error), address))
    return batch


def _sort(arrival: Arrival, address: TrapAddress, leaf: str, batch: Batch) -> None:
    seen_at_ms = None if arrival.retained else arrival.received_at_ms
    if leaf == COUNTS:
        batch.sightings.append(_sort_counts(arrival, address, batch))
    elif leaf == BIRTH:
        birth = _read(Birth, arrival, address)
        window_ms = round(birth.window_s * 1000) or None
        batch.sightings.append(Sighting(address, seen_at_ms, birth=birth, window_ms=window_ms))
    elif leaf == STATE:
        state = _read(State, arrival, address)
        # The broker speaks for a trap that is offline: that is no sign of life.
        batch.sightings.append(Sighting(address, None if state.state == "offline" else seen_at_ms, state=state))
    elif leaf == LOST:
        batch.given_up.append(GivenUp(address, _read(Lost, arrival, address), arrival.received_at_ms))
        batch.sightings.append(Sighting(address, seen_at_ms))
    elif leaf in (HEALTH, ANSWER, PROGRESS):
        batch.told.append(Told(address, _read_told(arrival, address, leaf), arrival.received_at_ms))
        batch.sightings.append(Sighting(address, seen_at_ms))
    elif leaf == EVIDENCE:
        _sort_picture(arrival, address, batch)
        batch.sightings.append(Sighting(address, seen_at_ms))
    else:
        raise MessageError(f"a collector does not take {leaf!r} messages")


def _sort_counts(arrival: Arrival, address: TrapAddress, batch: Batch) -> Sighting:
    if arrival.retained:
        raise MessageError("counts are retained: the trap must publish them without the retain flag")
    counts = _read(CountBatch, arrival, address)
    for window in counts.windows:
        key = (address.tenant, address.trap, window.boot, window.seq)
        body = window.model_dump_json()
        digest = hashlib.sha256(body.encode()).hexdigest()
        batch.windows.append(OfferedWindow(address, key, window, body, digest, arrival.received_at_ms, counts.backlog))
    return Sighting(address, arrival.received_at_ms, window_ms=counts.windows[-1].duration_ms)


def _sort_picture(arrival: Arrival, address: TrapAddress, batch: Batch) -> None:
    """A picture that is none is refused under its id, so that the trap need not send it for ever."""
    evidence = _read(Evidence, arrival, address)
    try:
        size = jpeg_size(evidence.picture)
    except MessageError as error:
        batch.refusals.append(Refusal(arrival, str(error), address, evidence.id))
    else:
        batch.pictures.append(OfferedPicture(address, evidence, size, arrival.received_at_ms))


def _read_told(arrival: Arrival, address: TrapAddress, leaf: str) -> Health | Answer | Progress:
    if leaf == HEALTH:
        return _read(Health, arrival, address)
    return _read(Answer, arrival, address) if leaf == ANSWER else _read(Progress, arrival, address)


def _read(kind: type[_Message], arrival: Arrival, address: TrapAddress) -> _Message:
    message = parse_message(kind, arrival.payload)
    if message.trap != address.trap:
        raise MessageError(f"the payload is of trap {message.trap!r}, its topic of trap {address.trap!r}")
    return message
