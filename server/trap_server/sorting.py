"""What a batch of MQTT messages says: the pure core of ingest, without broker, database or clock."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from trap_contract.errors import MessageError
from trap_contract.messages import Birth, CountBatch, State, Window, parse_message
from trap_contract.topics import BIRTH, COUNTS, STATE, TrapAddress, parse_topic


@dataclass(frozen=True, slots=True)
class Arrival:
    """One MQTT message as it came; `received_at_ms` is the collector's clock, UTC."""

    topic: str
    payload: bytes
    retained: bool
    received_at_ms: int


@dataclass(frozen=True, slots=True)
class OfferedWindow:
    """A valid window that a trap asks to be stored."""

    address: TrapAddress
    window: Window
    digest: str
    received_at_ms: int

    @property
    def key(self) -> tuple[str, str, str, int]:
        """(tenant, trap, boot, seq)."""
        return self.address.tenant, self.address.trap, self.window.boot, self.window.seq


@dataclass(frozen=True, slots=True)
class Sighting:
    """A sign of life of one trap, and what it told of itself. None of `seen_at_ms` for a retained message."""

    address: TrapAddress
    seen_at_ms: int | None
    birth: Birth | None = None
    state: State | None = None
    window_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that can't be understood, kept as it is."""

    arrival: Arrival
    reason: str
    address: TrapAddress | None


@dataclass(slots=True)
class Batch:
    """Messages sorted by what must become of them; within each list in order of arrival."""

    windows: list[OfferedWindow] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def sort_arrivals(arrivals: Iterable[Arrival]) -> Batch:
    """Every message ends in exactly one place: its windows and a sighting, or a refusal with its reason."""
    batch = Batch()
    for arrival in arrivals:
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
        counts = _read_counts(arrival, address)
        batch.windows += [
            OfferedWindow(address, window, window.digest(), arrival.received_at_ms) for window in counts.windows
        ]
        batch.sightings.append(Sighting(address, seen_at_ms, window_ms=counts.windows[-1].duration_ms))
    elif leaf == BIRTH:
        birth = parse_message(Birth, arrival.payload)
        _require_trap(birth.trap, address)
        window_ms = round(birth.window_s * 1000) or None
        batch.sightings.append(Sighting(address, seen_at_ms, birth=birth, window_ms=window_ms))
    elif leaf == STATE:
        state = parse_message(State, arrival.payload)
        _require_trap(state.trap, address)
        # The broker speaks for a trap that is offline: that is no sign of life.
        batch.sightings.append(Sighting(address, None if state.state == "offline" else seen_at_ms, state=state))
    else:
        raise MessageError(f"a collector does not take {leaf!r} messages")


def _read_counts(arrival: Arrival, address: TrapAddress) -> CountBatch:
    if arrival.retained:
        raise MessageError("counts are retained: the trap must publish them without the retain flag")
    counts = parse_message(CountBatch, arrival.payload)
    _require_trap(counts.trap, address)
    return counts


def _require_trap(trap: str, address: TrapAddress) -> None:
    if trap != address.trap:
        raise MessageError(f"the payload is of trap {trap!r}, its topic of trap {address.trap!r}")
