"""Females and males caught, and the share of females with its interval."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from trap_server.api.access import Connection, Date, NameText, NowMs
from trap_server.exporting.reading import Selection, read_rows
from trap_server.exporting.rows import Row, sex_of
from trap_server.sex_ratio import sex_ratio

router = APIRouter(prefix="/api/v1")

By = Literal["all", "trap", "night"]
Group = tuple[str | None, str | None, dt.date | None]


class SexRatioAnswer(BaseModel):
    """Of one group; null names what the group does not tell apart, or a share of nobody."""

    tenant: str | None
    trap: str | None
    night: dt.date | None
    females: int
    males: int
    share: Annotated[float | None, Query(description="of females among those with a sex")]
    low: float | None
    high: float | None


class SexRatiosAnswer(BaseModel):
    """By group, and how the interval is made."""

    interval: str = "Wilson score, 95 %, individuals taken as independent"
    groups: list[SexRatioAnswer]


@router.get("/sex-ratio")
def ratios(
    *,
    connection: Connection,
    now_ms: NowMs,
    by: By = "all",
    since: Date = None,
    until: Date = None,
    tenant: NameText | None = None,
    trap: NameText | None = None,
) -> SexRatiosAnswer:
    """From trap-nights of catches alone: occupancy has no sum, and what has no sex is left out."""
    rows = read_rows(connection, "night", Selection(tenant, trap, since, until), now_ms)
    caught = _caught(rows, by)
    return SexRatiosAnswer(groups=[_answer(group, sexes) for group, sexes in sorted(caught.items(), key=str)])


def _caught(rows: Iterable[Row], by: By) -> dict[Group, Counter[str]]:
    caught: dict[Group, Counter[str]] = {(None, None, None): Counter()} if by == "all" else {}
    for row in rows:
        if row.is_catch and row.counts is not None:
            sexes = caught.setdefault(_group(row, by), Counter())
            for name, count in row.counts.items():
                sexes[sex_of(name)] += count
    return caught


def _group(row: Row, by: By) -> Group:
    match by:
        case "trap":
            return row.tenant, row.trap, None
        case "night":
            return None, None, row.night
        case _:
            return None, None, None


def _answer(group: Group, sexes: Counter[str]) -> SexRatioAnswer:
    tenant, trap, night = group
    found = sex_ratio(sexes["female"], sexes["male"])
    return SexRatioAnswer(
        tenant=tenant,
        trap=trap,
        night=night,
        females=found.females,
        males=found.males,
        share=found.share,
        low=found.low,
        high=found.high,
    )
