"""One simulated trap: what it counts is a rule of its seed, so that a checker can tell every window again; pure."""

import json
import zlib
from dataclasses import dataclass, field
from functools import cache

from trap_contract.messages import MAX_WINDOWS, Ack, AckRange, Birth, CountBatch, Lost, ModelRef, Resend, State
from trap_contract.topics import TrapAddress

from trap_server.gaps import Range, joined, without

CLASSES = ("Female", "Male", "Incomplete", "Out of Focus", "Undefined")
MODEL = ModelRef(id="simulated", sha256="51" * 32, threshold=0.35, backend="none")
IN_FLIGHT = 8
SAY_LOST_AGAIN_S = 5.0


@dataclass(slots=True)
class Boot:
    """What one run of the agent has said: windows 1 to `last`, the first of which began at `begins_ms`."""

    name: str
    begins_ms: int
    last: int = 0
    held: tuple[Range, ...] = ()
    acknowledged: tuple[Range, ...] = ()
    clock_off_ms: int = 0
    given_up: tuple[Range, ...] = ()
    """Lost for good, acknowledged or not."""


@dataclass(frozen=True, slots=True)
class Message:
    """Windows `first` to `last` of a boot, on their way since `sent_s`."""

    boot: str
    first: int
    last: int
    sent_s: float


@dataclass(slots=True)
class SimulatedTrap:
    """Counts, holds, sends and gives up as the agent does; times are told to it.

    `salt` is what it sees: two traps of one address and boot, but different salt, are clones.
    """

    address: TrapAddress
    salt: int
    window_ms: int = 60_000
    most_held: int = 100_000
    patience_s: float = 60.0
    boots: list[Boot] = field(default_factory=list)
    _flying: list[Message] = field(default_factory=list)
    _said_lost_s: float = -SAY_LOST_AGAIN_S

    def begin_boot(self, name: str, now_ms: int, clock_off_ms: int = 0) -> None:
        """The agent starts anew, its clock perhaps not set; what it held is still held."""
        self.boots.append(Boot(name, now_ms, clock_off_ms=clock_off_ms))
        self._flying.clear()

    def count(self, now_ms: int) -> int:
        """Close the windows that have ended; returns how many."""
        boot = self.boots[-1]
        ended = (now_ms - boot.begins_ms) // self.window_ms
        new = ended - boot.last
        if new > 0:
            boot.held = joined([*boot.held, (boot.last + 1, ended)])
            boot.last = ended
            self._make_room()
        return max(0, new)

    def held(self) -> int:
        """How many windows wait for their acknowledgement."""
        return sum(last - first + 1 for boot in self.boots for first, last in boot.held)

    def owes_losses(self) -> bool:
        """Whether something is given up and not acknowledged as lost."""
        return any(without(boot.given_up, boot.acknowledged) for boot in self.boots)

    def take_counts(self, now_s: float) -> list[bytes]:
        """Payloads to send now: at most eight messages are on their way, and each is sent again after a while."""
        self._flying = [one for one in self._flying if now_s - one.sent_s < self.patience_s]
        return [self._send(boot, at, now_s) for boot in self.boots for at in self._next_ranges(boot)]

    def take_lost(self, now_s: float) -> list[bytes]:
        """What is gone for good, said again until it is acknowledged."""
        if now_s - self._said_lost_s < SAY_LOST_AGAIN_S:
            return []
        ranges = [
            AckRange(boot=boot.name, first=first, last=last)
            for boot in self.boots
            for first, last in without(boot.given_up, boot.acknowledged)
        ]
        if not ranges:
            return []
        self._said_lost_s = now_s
        return [
            Lost(trap=self.address.trap, ranges=tuple(ranges[:500]), reason="outbox_full").model_dump_json().encode()
        ]

    def hear(self, said: Ack | Resend) -> None:
        """Forget what is stored; what is asked for, and held, goes again at once."""
        for one in said.ranges:
            boot = next((boot for boot in self.boots if boot.name == one.boot), None)
            if boot is not None and isinstance(said, Ack):
                boot.held = without(boot.held, ((one.first, one.last),))
                boot.acknowledged = joined([*boot.acknowledged, (one.first, one.last)])
            elif boot is not None:
                self._flying = [flying for flying in self._flying if flying.boot != one.boot]
        self._flying = [one for one in self._flying if self._is_held(one)]

    def birth(self) -> Birth:
        """What it says at every connect."""
        held = [AckRange(boot=boot.name, first=a, last=b) for boot in self.boots for a, b in boot.held]
        return Birth(
            trap=self.address.trap, boot=self.boots[-1].name, agent_version="simulated", board="none", model=MODEL,
            classes=CLASSES, semantics="arrivals", window_s=self.window_ms / 1000, held=tuple(held[:100]),
        )  # fmt: skip

    def state(self, state: str, now_ms: int) -> State:
        """A word on `state`."""
        boot = self.boots[-1].name
        return State.model_validate({"trap": self.address.trap, "state": state, "boot": boot, "wall_ms": now_ms})

    def payload(self, boot: Boot, first: int, last: int) -> bytes:
        """The message of these windows; the same bytes whenever it is asked for."""
        head, window = _template()
        windows = ",".join(window % self._places(boot, seq) for seq in range(first, last + 1))
        return f"{head % (self.address.trap, str(last < boot.last).lower())}{windows}]}}".encode()

    def counts(self, boot: str, seq: int) -> tuple[int, ...]:
        """What window `seq` counted, in the order of CLASSES."""
        seen = zlib.crc32(f"{self.salt}:{boot}:{seq}".encode())
        return seen % 7, (seen >> 8) % 4, (seen >> 16) % 3, (seen >> 20) % 2, 0

    def wall_ms(self, boot: Boot, seq: int) -> int:
        """When window `seq` began, by the trap's own clock."""
        return boot.begins_ms + boot.clock_off_ms + (seq - 1) * self.window_ms

    def _places(self, boot: Boot, seq: int) -> tuple[object, ...]:
        mono_ms = (seq - 1) * self.window_ms
        times = (self.wall_ms(boot, seq), mono_ms, self.window_ms, str(boot.clock_off_ms == 0).lower())
        return boot.name, seq, boot.name, *times, *self.counts(boot.name, seq), self.window_ms / 1000

    def _next_ranges(self, boot: Boot) -> list[Range]:
        flying = joined((one.first, one.last) for one in self._flying if one.boot == boot.name)
        found: list[Range] = []
        for first, last in without(boot.held, flying):
            starts = range(first, last + 1, MAX_WINDOWS)
            found += [(start, min(start + MAX_WINDOWS - 1, last)) for start in starts][: IN_FLIGHT - len(found)]
        return found[: max(0, IN_FLIGHT - len(self._flying))]

    def _send(self, boot: Boot, at: Range, now_s: float) -> bytes:
        self._flying.append(Message(boot.name, *at, now_s))
        return self.payload(boot, *at)

    def _is_held(self, message: Message) -> bool:
        boot = next(boot for boot in self.boots if boot.name == message.boot)
        return any(first <= message.last and message.first <= last for first, last in boot.held)

    def _make_room(self) -> None:
        """Give up the oldest windows when there are too many."""
        for boot in self.boots:
            while (excess := self.held() - self.most_held) > 0 and boot.held:
                first, last = boot.held[0]
                gone = (first, min(last, first + excess - 1))
                boot.held = without(boot.held, (gone,))
                boot.given_up = joined([*boot.given_up, gone])


@cache
def _template() -> tuple[str, str]:
    """A message's head and one window, with places for what changes."""
    classes = ", ".join(f'"{name}": %d' for name in CLASSES)
    window = (
        '{"boot": "%s", "seq": %d, "kernel_boot": "%s", "wall_ms": %d, "mono_ms": %d, "duration_ms": %d,'
        ' "clock": {"synced": %s}, "semantics": "arrivals", "counts": {' + classes + "},"
        ' "effort": {"observed_s": %f, "frames_seen": 600, "frames_analysed": 600}, "model": '
    )
    head = (
        f'{{"v": {CountBatch.model_fields["v"].default}, "trap": "%s", "sent_wall_ms": 0, "backlog": %s, "windows": ['
    )
    return head, window + json.dumps(MODEL.model_dump()) + "}"
