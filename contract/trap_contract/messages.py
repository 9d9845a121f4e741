"""The messages between trap and collector, as pydantic models.

A window is the record of truth and stands alone: its key is (trap, boot, seq), and a batch only carries windows.
Unknown fields are ignored and every optional field has a default, so an older and a newer peer understand each other;
a change that breaks this raises `v` and the version in the topic.
"""

import base64
import hashlib
import json
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trap_contract.errors import MessageError
from trap_contract.topics import NAME_PATTERN

MAX_WINDOWS = 60
MAX_SEQ = 2**53 - 1  # the largest integer that every JSON reader keeps exact
JPEG_LIMIT = 128 * 1024
"""Bytes of a picture as evidence; in base64 it passes a broker that takes messages of 256 KiB."""

Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
Boot = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="random 128-bit id, new at every agent start")]
Seq = Annotated[int, Field(ge=1, le=MAX_SEQ, description="1, 2, 3, ... within a boot")]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Milliseconds = Annotated[int, Field(ge=0, le=MAX_SEQ)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
ClassName = Annotated[str, Field(min_length=1, max_length=64)]
Id = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="random 128-bit id")]
Px = Annotated[int, Field(ge=0, le=65535)]
Place = Annotated[float, Field(ge=-65535, le=65535, allow_inf_nan=False)]

Value = str | int | float | bool | None
"""Of a setting."""

Semantics = Literal["occupancy", "arrivals", "catch_delta"]
BoardChange = Literal["emptied", "moved"]
GapReason = Literal["no_frame", "unreadable", "dark", "overload", "start", "stop", "schedule", "camera", "disk"]
"""`dark`: frames came that show nothing, for want of light or for too much of it."""
Throttle = Literal[
    "under_voltage", "frequency_capped", "throttled", "soft_temperature_limit",
    "under_voltage_before", "frequency_capped_before", "throttled_before", "soft_temperature_limit_before",
]  # fmt: skip
CommandState = Literal["running", "done", "failed", "expired", "refused"]
LossReason = Literal["outbox_full", "outbox_damaged", "never_held", "acknowledged"]
_NEWER_FIELDS = ("corrected", "board")
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Clock(_Model):
    """How far the wall clock can be trusted; a Pi without a battery boots in the past."""

    synced: bool
    source: Literal["ntp", "gnss", "rtc", "none"] = "none"


class ModelRef(_Model):
    """Which model made the counts."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    threshold: Score
    backend: Annotated[str, Field(max_length=64)] = ""


class Gap(_Model):
    """A stretch of the window in which nothing was observed, and why."""

    reason: GapReason
    seconds: Seconds


class Occupancy(_Model):
    """How many of one class were in the picture at once, over the analysed frames."""

    mean: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    max: Count


class Corrected(_Model):
    """How many there truly were of a class, from what the model confuses and overlooks: estimate and 95 % interval."""

    estimate: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    low: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    high: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Latency(_Model):
    """Milliseconds from a frame in memory to its counts."""

    p50: Seconds
    p95: Seconds


class Effort(_Model):
    """What was looked at: without it a zero means nothing."""

    observed_s: Seconds
    frames_seen: Count
    frames_analysed: Count
    frames_dropped: Count = 0
    gaps: tuple[Gap, ...] = ()


class Window(_Model):
    """One closed counting window of one trap.

    `counts` has every class of the model, zeros included; it is null exactly when no frame was analysed.
    With `occupancy` semantics a count is the median number in the picture, halves rounded up; with `arrivals` how many
    came, each confirmed within the window; with `catch_delta` how many are on the board that were not there before,
    and `board` says whether it was emptied or moved meanwhile. `corrected` is empty where nothing can be said.
    """

    boot: Boot
    seq: Seq
    kernel_boot: Annotated[str, Field(max_length=64, description="domain in which mono_ms values compare")] = ""
    wall_ms: Annotated[Milliseconds, Field(description="window start, UTC, by the trap's wall clock")]
    mono_ms: Annotated[Milliseconds, Field(description="window start by the monotonic clock")]
    duration_ms: Annotated[Milliseconds, Field(gt=0)]
    clock: Clock
    semantics: Semantics
    counts: dict[ClassName, Count] | None
    occupancy: dict[ClassName, Occupancy] = {}
    corrected: dict[ClassName, Corrected] = {}
    board: BoardChange | None = None
    confidence: dict[ClassName, Score] = {}
    effort: Effort
    model: ModelRef
    latency_ms: Latency | None = None

    @model_validator(mode="after")
    def _counts_need_frames(self) -> Self:
        if (self.counts is None) != (self.effort.frames_analysed == 0):
            raise ValueError("counts must be null exactly when frames_analysed is 0")
        return self

    def canonical(self) -> bytes:
        """The bytes that identify this content: JSON with sorted keys, because a map of classes has no order.

        A field that says nothing is left out if older programs do not have it, so that all agree on the bytes.
        """
        content = self.model_dump(mode="json")
        for name in _NEWER_FIELDS:
            if not content[name]:
                del content[name]
        return _encode(content).encode()

    def digest(self) -> str:
        """SHA-256 of the canonical content, hex."""
        return hashlib.sha256(self.canonical()).hexdigest()


class CountBatch(_Model):
    """Topic `counts`: one or more closed windows of one trap, possibly of several boots."""

    v: Literal[1] = 1
    trap: Name
    sent_wall_ms: Milliseconds
    backlog: Annotated[bool, Field(description="a replay: store it, raise no alert")] = False
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=MAX_WINDOWS)]


class AckRange(_Model):
    """Windows first..last of one boot, both ends included."""

    boot: Boot
    first: Seq
    last: Seq

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.last < self.first:
            raise ValueError("last must not be below first")
        return self


class Ack(_Model):
    """Topic `ack`: these windows, or that they are lost, and this evidence are committed to the collector's database.

    Only now may the trap forget them.
    """

    v: Literal[1] = 1
    trap: Name
    ranges: tuple[AckRange, ...] = ()
    evidence: tuple[Id, ...] = ()

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.ranges and not self.evidence:
            raise ValueError("ranges or evidence must name something")
        return self


class State(_Model):
    """Topic `state`, retained, also the last will."""

    v: Literal[1] = 1
    trap: Name
    state: Literal["online", "stopped", "offline"]
    boot: Boot
    wall_ms: Milliseconds


class Birth(_Model):
    """Topic `birth`, retained, sent at every connect: what this trap is and what it still holds."""

    v: Literal[1] = 1
    trap: Name
    boot: Boot
    agent_version: str
    board: str = ""
    site: Annotated[str, Field(max_length=120, description="where it hangs, in the words of its card")] = ""
    model: ModelRef
    classes: tuple[ClassName, ...]
    semantics: Semantics
    window_s: Seconds
    held: tuple[AckRange, ...] = ()
    settings: Annotated[
        dict[str, Value], Field(description="in force, of those that can be set from afar; null: none is set")
    ] = {}
    settings_version: Annotated[int | None, Field(description="of the last `settings` document that was heard")] = None
    settings_refused: Annotated[
        str, Field(max_length=1024, description="why the trap does not follow that one; empty: it does")
    ] = ""


class Health(_Model):
    """Topic `health`: how the board fares; what it can't tell is null, never a guess."""

    v: Literal[1] = 1
    trap: Name
    boot: Boot
    wall_ms: Milliseconds
    uptime_s: Seconds | None = None
    soc_celsius: Annotated[float, Field(ge=-60, le=200, allow_inf_nan=False)] | None = None
    throttle: tuple[Throttle, ...] | None = None
    disk_free_mb: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    memory_mb: Annotated[float, Field(ge=0, allow_inf_nan=False, description="resident, this program")] | None = None
    memory_free_mb: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    camera_fps: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    sharpness: Annotated[float, Field(ge=0, allow_inf_nan=False, description="variance of the Laplacian")] | None = None
    brightness: Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)] | None = None
    lens: Literal["clear", "blurred", "dark", "overexposed"] | None = None
    outbox_held: Annotated[int, Field(ge=0)] | None = None
    outbox_dropped: Annotated[int, Field(ge=0)] | None = None
    outbox_on_disk: Annotated[bool, Field(description="false: a power cut takes what is held")] | None = None
    battery_volts: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    battery_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    air_celsius: Annotated[float, Field(ge=-60, le=100, allow_inf_nan=False)] | None = None
    humidity_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None


class Resend(_Model):
    """Topic `resend`: the collector misses these windows and asks for them.

    The trap sends those that it holds at once, and answers for the others with `lost`.
    """

    v: Literal[1] = 1
    trap: Name
    ranges: Annotated[tuple[AckRange, ...], Field(min_length=1)]


class Lost(_Model):
    """Topic `lost`: these windows are gone for good; the collector records their effort as lost, never as zero.

    The trap says it unasked when its outbox gave windows up, and repeats it every minute, over connections and
    restarts, until an `ack` covers the ranges. `outbox_full` and `outbox_damaged`: it had them and lost them;
    `never_held`: it knows nothing of them; `acknowledged`: an earlier ack covered them, so it has forgotten them.
    """

    v: Literal[1] = 1
    trap: Name
    ranges: Annotated[tuple[AckRange, ...], Field(min_length=1)]
    reason: LossReason


class Command(_Model):
    """Topic `command`, never retained: one request to a trap; after `expires_wall_ms` it must not be carried out.

    An id is carried out once; sent again, it is answered again. The message carries the MQTT expiry that leaves it the
    same time: a trap whose clock is not synchronised goes by that, and refuses a command without it. There are
    `status`, `restart` and `snapshot`, whose picture comes as evidence of the same id.
    """

    v: Literal[1] = 1
    trap: Name
    id: Id
    name: Annotated[str, Field(pattern="^[a-z_]{1,32}$")]
    expires_wall_ms: Milliseconds


class Answer(_Model):
    """Topic `answer`: what became of a command; several may follow one another, the last one counts."""

    v: Literal[1] = 1
    trap: Name
    id: Id
    state: CommandState
    text: Annotated[str, Field(max_length=4096)] = ""


class WantedSettings(_Model):
    """Topic `settings`, retained: everything that is set from afar on this trap; what is not named is as its file says.

    The trap follows a document as a whole or not at all, from its next window on and through restarts, and tells in
    its birth which version it heard last, and why it does not follow that one if it does not. Each change has the next
    version.
    """

    v: Literal[1] = 1
    trap: Name
    version: Annotated[int, Field(ge=1, le=MAX_SEQ)]
    settings: Annotated[dict[Annotated[str, Field(pattern="^[a-z_]{1,32}$")], Value], Field(max_length=50)]


class WindowKey(_Model):
    """One window of a trap."""

    boot: Boot
    seq: Seq


class Evidence(_Model):
    """Topic `evidence`: a picture for people to look at. It counts nothing, and is sent when no count waits.

    A `crop` shows one insect of a window, its model's `box` within the `area` that was cut out; a `snapshot` is the
    whole frame, scaled down, that the command of the same id asked for. Places are left, top, right, bottom in px of
    the camera's frame. `scores` has each class whose score is known, the best being what was counted. The id is the
    key, so a repetition is harmless; an `ack` that names it lets the trap forget the picture.
    """

    v: Literal[1] = 1
    trap: Name
    id: Id
    kind: Literal["crop", "snapshot"]
    reason: Annotated[Literal["uncertain", "sample", "command"], Field(description="why this picture")]
    wall_ms: Annotated[Milliseconds, Field(description="when it was taken, UTC, by the trap's wall clock")]
    clock: Clock
    model: ModelRef
    frame_px: Annotated[tuple[Px, Px], Field(description="width and height of the camera's frame")]
    area: tuple[Px, Px, Px, Px]
    window: WindowKey | None = None
    box: tuple[Place, Place, Place, Place] | None = None
    scores: dict[ClassName, Score] = {}
    jpeg: Annotated[
        str,
        Field(
            min_length=4,
            max_length=4 * -(-JPEG_LIMIT // 3),
            json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/jpeg"},
        ),
    ]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        base64.b64decode(self.jpeg, validate=True)  # raises a ValueError
        if self.kind == "crop" and (self.window is None or self.box is None or not self.scores):
            raise ValueError("a crop has a window, a box and a score")
        return self

    @property
    def picture(self) -> bytes:
        """The JPEG."""
        return base64.b64decode(self.jpeg)

    @property
    def label(self) -> str | None:
        """The class that was counted; None where nothing was."""
        return max(self.scores, key=lambda name: self.scores[name]) if self.scores else None


Message = TypeVar("Message", bound=BaseModel)


def parse_message(kind: type[Message], payload: bytes) -> Message:
    """Validate bytes from the broker.

    Raises MessageError that says what is wrong and where, whatever the bytes are.
    """
    try:
        return kind.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "payload"
        raise MessageError(f"{kind.__name__} is malformed at {place}: {first['msg']}") from error


def ranges_of(keys: list[tuple[str, int]]) -> tuple[AckRange, ...]:
    """Fewest ranges that cover exactly these (boot, seq) keys."""
    runs: list[tuple[str, int, int]] = []
    for boot, seq in sorted(set(keys)):
        if runs and runs[-1][0] == boot and runs[-1][2] + 1 == seq:
            runs[-1] = (boot, runs[-1][1], seq)
        else:
            runs.append((boot, seq, seq))
    return tuple(AckRange(boot=boot, first=first, last=last) for boot, first, last in runs)
