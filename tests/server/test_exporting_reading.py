"""Rows out of a real database."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from trap_server import deployments
from trap_server.exporting.reading import Period, Selection, read_rows
from trap_server.exporting.rows import Row

from server.exports import NIGHT, NOON_MS, caught, keep, make_place
from server.traps import make_window

LATER_MS = NOON_MS + 30 * 86_400_000


def rows(engine: sa.Engine, period: Period, **selection: Any) -> list[Row]:
    with engine.begin() as connection:
        return list(read_rows(connection, period, Selection(**selection), LATER_MS))


def test_catches_of_a_night_are_summed_from_noon_to_noon_and_zeros_stay(engine: sa.Engine):
    keep(engine, caught(1, -0.5, 7), caught(2, 0.5, 2), caught(3, 12, 4), caught(4, 23.9, 0), caught(5, 25, 9))
    first, second, third = rows(engine, "night")
    assert [row.night for row in (first, second, third)] == [NIGHT + dt.timedelta(days=day) for day in (-1, 0, 1)]
    assert second.counts is not None
    assert (second.counts["Female"], second.counts["Male"], second.counts["Incomplete"]) == (6, 3, 0)
    assert (second.statistic, second.is_catch, second.windows, second.observed_s) == ("sum", True, 3, 180.0)
    assert second.models == ("yolov8n_kd@" + "ab" * 8,)
    assert second.thresholds == (0.35,)
    assert second.lost_s == 0.0


def test_occupancy_is_never_a_catch_and_stays_apart_from_it(engine: sa.Engine):
    keep(engine, caught(1, 1, 5, semantics="occupancy"), caught(2, 1.1, 3, semantics="occupancy"), caught(3, 1.2, 2))
    catch, occupancy = rows(engine, "night")
    assert (catch.semantics, catch.statistic, (catch.counts or {})["Female"]) == ("arrivals", "sum", 2)
    assert (occupancy.semantics, occupancy.statistic, (occupancy.counts or {})["Female"]) == ("occupancy", "peak", 4)
    assert {row.statistic for row in rows(engine, "window")} == {"median", "sum"}


def test_a_night_without_an_analysed_frame_has_no_counts(engine: sa.Engine):
    keep(engine, caught(1, 1, None))
    (night,) = rows(engine, "night")
    assert (night.counts, night.observed_s, night.problem) == (None, 0.0, True)


def test_a_selection_keeps_whole_nights_of_the_trap_asked_for(engine: sa.Engine):
    keep(engine, *(caught(1 + day, 24 * day + 20, day) for day in range(5)))
    keep(engine, caught(1, 1, 9), trap="t2")
    asked = {"since": NIGHT + dt.timedelta(days=1), "until": NIGHT + dt.timedelta(days=2)}
    assert [(row.counts or {})["Female"] for row in rows(engine, "night", trap="t1", **asked)] == [1, 2]
    assert [row.trap for row in rows(engine, "night", trap="t2")] == ["t2"]
    assert rows(engine, "night", tenant="other") == []


def test_a_night_belongs_to_the_place_where_the_trap_stood(engine: sa.Engine):
    keep(engine, caught(1, 1, 2))
    place = make_place(latitude=21.3, longitude=-157.9, timezone="Pacific/Honolulu")
    with engine.begin() as connection:
        deployments.add(connection, place)
    (night,) = rows(engine, "night")
    assert (night.site, night.boundary, night.deployed_ms) == (place.site, "solar", place.begins_ms)
    assert night.night == NIGHT - dt.timedelta(days=1)


def test_a_window_from_the_far_future_is_left_out(engine: sa.Engine):
    keep(engine, caught(1, 1, 2), make_window(2, wall_ms=2**53 - 1))
    assert [len(rows(engine, period)) for period in ("window", "hour", "night")] == [1, 1, 1]
