"""Labels in the database: the queue of crops without one, and the labels there are."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from trap_contract.errors import ConfigError
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.bulk import insert
from trap_server.review.field_error import FieldError, Seen

LOOKED_AT = 2_000
"""Newest unlabelled crops among which the queue chooses."""

Order = Literal["uncertain", "sample", "newest"]

_E, _L = schema.evidence.c, schema.labels.c


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop that waits for a label; `box` is centre x, centre y, width, height of the picture, 0 to 1."""

    id: int
    tenant: str
    trap: str
    evidence: str
    predicted: str
    score: float
    scores: dict[str, float]
    threshold: float
    reason: str
    model_sha256: str
    wall_ms: int
    box: tuple[float, float, float, float]

    @property
    def margin(self) -> float:
        """How sure the model was: above the threshold, and above its second choice; small is uncertain."""
        others = sorted(score for name, score in self.scores.items() if name != self.predicted)
        return min(self.score - self.threshold, self.score - others[-1] if others else 1.0)


def queue(
    connection: sa.Connection, order: Order, address: TrapAddress | None, limit: int, rng: random.Random
) -> tuple[list[Crop], int]:
    """Crops to label next, and how many wait; `sample` are only those that the trap drew at random."""
    waiting = _E.id.not_in(_labelled())
    query = sa.select(_E.id, _E.tenant, _E.trap, _E.evidence, _E.wall_ms, _E.label, _E.body).where(
        _E.kind == "crop", _E.label.is_not(None), waiting
    )
    if address is not None:
        query = query.where(_E.tenant == address.tenant, _E.trap == address.trap)
    count: int = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
    crops = [_crop(row) for row in connection.execute(query.order_by(_E.id.desc()).limit(LOOKED_AT)).mappings()]
    return _ordered(crops, order, rng)[:limit], count


def _labelled() -> sa.Select[tuple[int]]:
    same = sa.and_(*(_E[name] == _L[name] for name in ("tenant", "trap", "evidence")))
    return sa.select(_E.id).join_from(schema.evidence, schema.labels, same)


def _ordered(crops: list[Crop], order: Order, rng: random.Random) -> list[Crop]:
    if order == "uncertain":
        return sorted(crops, key=lambda crop: crop.margin)
    if order == "sample":
        drawn = [crop for crop in crops if crop.reason == "sample"]
        rng.shuffle(drawn)
        return drawn
    return crops


def _crop(row: sa.RowMapping) -> Crop:
    body: dict[str, Any] = json.loads(row["body"])
    return Crop(
        id=row["id"],
        tenant=row["tenant"],
        trap=row["trap"],
        evidence=row["evidence"],
        predicted=row["label"],
        score=body["scores"][row["label"]],
        scores=body["scores"],
        threshold=body["model"]["threshold"],
        reason=body["reason"],
        model_sha256=body["model"]["sha256"],
        wall_ms=row["wall_ms"],
        box=_box(body["area"], body["box"]),
    )


def _box(area: list[float], box: list[float]) -> tuple[float, float, float, float]:
    """The insect in its picture: what the area cut off is cut off."""
    left, top, right, bottom = area
    x0, x1 = (min(1.0, max(0.0, (box[at] - left) / (right - left))) for at in (0, 2))
    y0, y1 = (min(1.0, max(0.0, (box[at] - top) / (bottom - top))) for at in (1, 3))
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


def label(connection: sa.Connection, row_id: int, name: str | None, by: str, now_ms: int) -> int:
    """Say what a crop shows, None for no insect; a label that is there is replaced. Returns the label's number.

    Raises ConfigError when the crop is not kept any more.
    """
    query = sa.select(schema.evidence).where(_E.id == row_id, _E.kind == "crop", _E.label.is_not(None))
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ConfigError(f"there is no crop {row_id} any more: the trap's newer pictures took its place")
    crop = _crop(row)
    values = {
        "tenant": crop.tenant,
        "trap": crop.trap,
        "evidence": crop.evidence,
        "predicted": crop.predicted,
        "score": crop.score,
        "reason": crop.reason,
        "model_sha256": crop.model_sha256,
        "label": name,
        "box": list(crop.box),
        "jpeg": row["jpeg"],
        "labelled_by": by,
        "labelled_at_ms": now_ms,
    }
    said = {key: values[key] for key in ("label", "labelled_by", "labelled_at_ms")}
    statement = insert(connection, schema.labels).values(**values)
    keep = statement.on_conflict_do_update(index_elements=["tenant", "trap", "evidence"], set_=said)
    number: int = connection.execute(keep.returning(_L.id)).scalar_one()
    return number


def take_back(connection: sa.Connection, number: int) -> None:
    """Forget a label. Raises ConfigError when there is none."""
    if not connection.execute(sa.delete(schema.labels).where(_L.id == number)).rowcount:
        raise ConfigError(f"there is no label {number}")


def counts(connection: sa.Connection) -> dict[str | None, int]:
    """How many labels of each kind there are."""
    found = connection.execute(sa.select(_L.label, sa.func.count()).group_by(_L.label))
    return {row[0]: row[1] for row in found}


def field_error(connection: sa.Connection, model_sha256: str, tenant: str | None = None) -> FieldError:
    """What one model takes for what, from labels of crops drawn at random."""
    query = sa.select(_L.predicted, _L.label).where(_L.reason == "sample", _L.model_sha256 == model_sha256)
    if tenant is not None:
        query = query.where(_L.tenant == tenant)
    return FieldError.of(Seen(*row) for row in connection.execute(query))


def models(connection: sa.Connection) -> list[str]:
    """Digests of the models of which crops drawn at random were labelled, the most labels first."""
    query = sa.select(_L.model_sha256).where(_L.reason == "sample").group_by(_L.model_sha256)
    return list(connection.execute(query.order_by(sa.func.count().desc(), _L.model_sha256)).scalars())


def pictures(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Every label with its picture, by number, a few at a time."""
    query = sa.select(schema.labels).order_by(_L.id)
    for row in connection.execute(query.execution_options(yield_per=50)).mappings():
        yield dict(row)
