"""What the API answers, typed; the OpenAPI document is made of these."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from trap_contract.messages import Semantics

from trap_server.day import GapReason
from trap_server.repair import Method
from trap_server.trap_record import Status, TrapRecord

IngestHealth = Literal["connected", "disconnected", "silent"]
Ms = Annotated[int, Field(description="milliseconds since 1970, UTC")]
ByClass = Annotated[dict[str, int], Field(description="count by class of the model, zeros included")]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class WindowAnswer(_Answer):
    """One stored window; `id` grows in the order of commit."""

    id: int
    tenant: str
    trap: str
    boot: str
    seq: int
    start_ms: Annotated[int, Field(description="when it began, clock repaired: milliseconds since 1970, UTC")]
    wall_ms: Annotated[int, Field(description="when it began by the trap's own clock, as it said")]
    duration_ms: int
    clock_synced: bool
    clock_method: Annotated[Method, Field(description="how `start_ms` is known")]
    clock_error_ms: Annotated[int | None, Field(description="how far `start_ms` may be off; null: no bound is known")]
    semantics: Semantics
    counts: Annotated[ByClass | None, Field(description="null: no frame was analysed")]
    frames_analysed: int
    observed_s: float
    model_id: str
    model_sha256: str
    received_at_ms: Ms


class WindowsAnswer(_Answer):
    """Windows in order of time, and where to go on."""

    windows: list[WindowAnswer]
    next_cursor: str | None


class EvidenceAnswer(_Answer):
    """One picture of a trap; `id` grows in the order of commit."""

    id: int
    tenant: str
    trap: str
    evidence: Annotated[str, Field(description="the trap's id of it; a snapshot has that of its command")]
    kind: Literal["crop", "snapshot"]
    reason: Literal["uncertain", "sample", "command"]
    wall_ms: Annotated[int, Field(description="when it was taken by the trap's own clock")]
    clock_synced: bool
    window_start_ms: Annotated[int | None, Field(description="when its window began, clock repaired; null: not stored")]
    received_at_ms: Ms
    boot: str | None
    seq: int | None
    label: Annotated[str | None, Field(description="the class that was counted")]
    scores: Annotated[dict[str, float], Field(description="of each class whose score is known")]
    threshold: Annotated[float, Field(description="least score that counted")]
    box: Annotated[tuple[float, float, float, float] | None, Field(description="left, top, right, bottom, frame px")]
    area: Annotated[tuple[int, int, int, int], Field(description="what the picture shows, frame px")]
    frame_px: Annotated[tuple[int, int], Field(description="width and height of the camera's frame")]
    width: int
    height: int
    bytes: int
    model_id: str
    model_sha256: str
    jpeg: Annotated[str, Field(description="path of the picture")]

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """From a row of the table, its window's start beside it."""
        body: dict[str, Any] = json.loads(row["body"])
        told = {name: body[name] for name in ("reason", "scores", "box", "area", "frame_px")}
        return cls(
            **{name: value for name, value in row.items() if name in cls.model_fields},
            **told,
            clock_synced=body["clock"]["synced"],
            threshold=body["model"]["threshold"],
            model_id=body["model"]["id"],
            model_sha256=body["model"]["sha256"],
            jpeg=f"/api/v1/evidence/{row['id']}.jpg",
        )


class EvidencePage(_Answer):
    """Pictures, the newest first, and where to go on."""

    evidence: list[EvidenceAnswer]
    next_cursor: int | None


class DayTotals(_Answer):
    """The last 24 hours of one trap."""

    windows: int
    observed_s: float
    caught: Annotated[
        ByClass | None, Field(description="sum of arrivals or catch; null for occupancy, which has no sum")
    ]
    most_at_once: Annotated[ByClass | None, Field(description="largest window of each class; null for other semantics")]


class TrapState(_Answer):
    """The part of a trap that changes without a window."""

    tenant: str
    trap: str
    status: Annotated[Status, Field(description="silent: says online, and nothing has come for long")]
    last_seen_ms: Annotated[int | None, Field(description="by the collector's clock")]
    complete_to_ms: Annotated[int | None, Field(description="no window of the last 24 hours is missing before this")]


class TrapAnswer(TrapState):
    """One trap, now and over the last 24 hours."""

    agent_version: str | None
    board: str | None
    classes: Annotated[tuple[str, ...], Field(description="of its model, as it told at its last connect")]
    threshold: Annotated[float | None, Field(description="least score that counts, as it told then")]
    backend: Annotated[str | None, Field(description="what runs the model")]
    window: Annotated[WindowAnswer | None, Field(description="the newest window")]
    counted: Annotated[
        WindowAnswer | None,
        Field(description="the newest window with counts; older than `window` when that saw nothing"),
    ]
    day: DayTotals

    @classmethod
    def of(
        cls,
        record: TrapRecord,
        now_ms: int,
        *,
        complete_to_ms: int | None,
        window: WindowAnswer | None,
        counted: WindowAnswer | None,
        day: DayTotals,
    ) -> Self:
        """Assemble from what the queries found."""
        birth = record.birth_content
        return cls(
            tenant=record.tenant,
            trap=record.trap,
            status=record.status(now_ms),
            last_seen_ms=record.last_seen_ms,
            complete_to_ms=complete_to_ms,
            agent_version=birth.get("agent_version"),
            board=birth.get("board") or None,
            classes=birth.get("classes", ()),
            threshold=birth.get("model", {}).get("threshold"),
            backend=birth.get("model", {}).get("backend"),
            window=window,
            counted=counted,
            day=day,
        )


class TrapsAnswer(_Answer):
    """Traps by name, and where to go on."""

    traps: list[TrapAnswer]
    next_cursor: str | None


class FleetRow(TrapState):
    """One trap tonight: since noon where it stands, solar noon if its position is known."""

    name: Annotated[str, Field(description="of the place, for people")]
    site: str
    latitude: float | None
    longitude: float | None
    timezone: str
    window_ms: int | None
    semantics: Semantics | None
    model_id: str | None
    night: Annotated[str, Field(description="local date of its evening")]
    night_begins_ms: Ms
    counts: Annotated[
        ByClass | None,
        Field(description="sum of a catch; largest hourly median of occupancy, which has none; null: nothing counted"),
    ]
    females: int | None
    males: int | None
    coverage: Annotated[float | None, Field(description="observed of the part of the night that is over, 0 to 1")]
    battery_volts: float | None
    picture: Annotated[str | None, Field(description="path of the newest picture")]
    picture_ms: int | None
    alerts: Annotated[int, Field(description="that are not closed")]


class FleetAnswer(_Answer):
    """Every trap tonight; `newest_id` is where events go on."""

    now_ms: Ms
    newest_id: int
    rows: list[FleetRow]


class PointAnswer(_Answer):
    """What was counted in one stretch of time, by the model of that time."""

    start_ms: Ms
    end_ms: Ms
    counts: ByClass


class GapAnswer(_Answer):
    """A stretch of time without a number."""

    start_ms: Ms
    end_ms: Ms
    reason: GapReason


class DayAnswer(_Answer):
    """The curve of the last 24 hours, or of the trap's whole life where that is shorter."""

    tenant: str
    trap: str
    since_ms: Ms
    until_ms: Ms
    semantics: Semantics | None
    step_ms: Annotated[
        int | None,
        Field(
            description="windows are drawn together by this: median of occupancy, sum of others; null: each is a point"
        ),
    ]
    points: list[PointAnswer]
    gaps: list[GapAnswer]
    totals: DayTotals


class StretchAnswer(PointAnswer):
    """What was counted and observed in one step of time."""

    observed_s: float
    corrected: Annotated[
        dict[str, tuple[float, float, float]] | None,
        Field(description="estimate, lower and upper 95 % bound by class"),
    ]


class CurveAnswer(_Answer):
    """Any stretch of a trap's time; where nothing was counted there is a gap, never a zero."""

    since_ms: Ms
    until_ms: Ms
    first_ms: Annotated[int | None, Field(description="when the first window of the trap's life began")]
    step_ms: int
    semantics: Semantics | None
    stretches: list[StretchAnswer]
    gaps: list[GapAnswer]
    totals: DayTotals
    corrected: Annotated[
        dict[str, tuple[float, float, float]] | None,
        Field(description="of the whole time; null where a window has none"),
    ]
    correction: Annotated[
        Literal["field", "model"] | None,
        Field(description="measured on labels from the field, or by the model's bundle"),
    ]


class HealthPoint(_Answer):
    """How the board fared at one moment; null is not known."""

    wall_ms: Annotated[int, Field(description="by the trap's own clock")]
    received_at_ms: Ms
    uptime_s: float | None = None
    soc_celsius: float | None = None
    throttle: tuple[str, ...] | None = None
    disk_free_mb: float | None = None
    memory_mb: float | None = None
    memory_free_mb: float | None = None
    camera_fps: float | None = None
    sharpness: float | None = None
    brightness: float | None = None
    lens: str | None = None
    outbox_held: int | None = None
    outbox_dropped: int | None = None
    battery_volts: float | None = None
    air_celsius: float | None = None
    humidity_percent: float | None = None


class HealthAnswer(_Answer):
    """Reports in order of time, thinned evenly to `most` of them."""

    reports: int
    points: list[HealthPoint]


class RowAnswer(_Answer):
    """One trap in one night or hour, one way of counting. `counts` null: nothing was counted, which is not zero."""

    tenant: str
    trap: str
    site: str
    name: str
    timezone: str
    night: Annotated[str | None, Field(description="local date of its evening")]
    begins_ms: Ms
    ends_ms: Ms
    semantics: Semantics
    statistic: Annotated[
        Literal["sum", "peak", "median"], Field(description="sum of a catch; peak or median of what was in the picture")
    ]
    counts: ByClass | None
    females: int | None
    males: int | None
    corrected: Annotated[
        dict[str, tuple[float, float, float]] | None,
        Field(description="estimate, lower and upper 95 % bound by class, from labels of the field"),
    ]
    observed_s: float
    expected_s: float | None
    lost_s: Annotated[float | None, Field(description="effort that the trap said is gone for good")]
    coverage: float | None
    problem: bool | None
    clock_repaired: bool
    models: tuple[str, ...]
    thresholds: tuple[float, ...]
    windows: int


class RowsAnswer(_Answer):
    """Rows by trap and time, and where to go on."""

    rows: list[RowAnswer]
    next_cursor: str | None


class SummaryAnswer(_Answer):
    """The fleet in one look."""

    traps: dict[Status, int]
    in_the_picture: Annotated[
        ByClass, Field(description="sum over the traps online of their newest occupancy window, by class")
    ]
    windows_stored: int
    collisions: int
    quarantined: int
    ingest: IngestHealth


class Readiness(_Answer):
    """Whether this server can do its work, and if not, why."""

    ready: bool
    database: Literal["reachable", "unreachable"]
    ingest: IngestHealth
