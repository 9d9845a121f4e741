"""Nights tile time, are named by their evening, and add up what may be added."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.errors import ConfigError
from trap_server.nights import Deployment, Hour, Tally, add_tallies, hour_counts, night_at, night_of, trap_night

HOUR_MS = 3_600_000
NAIROBI = Deployment("t1", "demo", "marsh", "", -1.29, 36.82, "Africa/Nairobi", "CO2", "light trap", 0)
BERLIN_CLOCK = replace(NAIROBI, latitude=None, longitude=None, timezone="Europe/Berlin")


def ms(text: str) -> int:
    return round(dt.datetime.fromisoformat(text).timestamp() * 1000)


def hour(number: int, tally: Tally, **changes: object) -> Hour:
    evening = dt.date(2026, 6, 1)
    counted = max((sum(counts.values()) for counts in tally.values()), default=0)
    first = Hour(
        "demo",
        "t1",
        "marsh",
        0,
        evening,
        number * HOUR_MS,
        "arrivals",
        60,
        counted,
        HOUR_MS,
        0,
        tally,
        ("m",),
        (0.3,),
        False,
    )
    return first._replace(**changes)


def test_a_night_goes_from_solar_noon_to_solar_noon_and_bears_the_date_of_its_evening():
    night = night_of(ms("2026-06-02T02:00+03:00"), NAIROBI)
    assert (night.date, night.boundary) == (dt.date(2026, 6, 1), "solar")
    assert abs(night.begins_ms - ms("2026-06-01T12:31+03:00")) < 120_000  # 12:30:27 by the almanac
    assert abs(night.ends_ms - night.begins_ms - 24 * HOUR_MS) < 60_000


def test_without_a_position_the_clock_decides_and_a_night_may_have_23_hours():
    night = night_of(ms("2026-03-29T00:30+01:00"), BERLIN_CLOCK)
    assert (night.date, night.boundary) == (dt.date(2026, 3, 28), "clock")
    assert (night.begins_ms, night.ends_ms - night.begins_ms) == (ms("2026-03-28T12:00+01:00"), 23 * HOUR_MS)


def test_without_a_deployment_noon_is_utc():
    night = night_of(ms("2026-06-02T11:59:59Z"), None)
    assert (night.date, night.boundary) == (dt.date(2026, 6, 1), "utc")
    assert night.begins_ms == ms("2026-06-01T12:00Z")


zones = st.sampled_from(["", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin", "Asia/Kathmandu"])
places = st.tuples(st.floats(-180, 180), st.just("")) | st.tuples(st.none(), zones)
moments = st.integers(ms("2020-01-01T00:00Z"), ms("2035-01-01T00:00Z"))


@given(moments, places)
def test_nights_tile_time_and_are_found_again_by_their_date(moment: int, somewhere: tuple[float | None, str]):
    longitude, zone = somewhere
    place = replace(NAIROBI, latitude=None if longitude is None else 10.0, longitude=longitude, timezone=zone)
    night = night_of(moment, place)
    assert night.begins_ms <= moment < night.ends_ms
    assert night_of(night.ends_ms, place).begins_ms == night.ends_ms
    assert night_of(night.ends_ms - 1, place) == night
    assert night_at(night.date, place) == night
    assert night_of(night.ends_ms, place).date == night.date + dt.timedelta(days=1)


def test_arrivals_are_summed():
    night = trap_night([hour(1, {"Female": {0: 58, 2: 2}}), hour(2, {"Female": {1: 60}})], NAIROBI)
    assert (night.statistic, night.counts, night.windows) == ("sum", {"Female": 64}, 120)


def test_occupancy_is_never_summed_but_the_largest_hourly_median():
    hours = [
        hour(n, {"Female": tally}, semantics="occupancy") for n, tally in enumerate([{3: 59, 9: 1}, {2: 30, 5: 30}])
    ]
    night = trap_night(hours, NAIROBI)
    assert (night.statistic, night.counts) == ("peak", {"Female": 4})


def test_a_night_in_which_nothing_was_counted_has_no_numbers_and_one_of_zeros_has_zeros():
    blind = trap_night([hour(1, {}, observed_ms=0, lost_ms=60_000)], NAIROBI)
    assert (blind.counts, blind.lost_s, blind.problem) == (None, 60.0, True)
    assert trap_night([hour(1, {"Female": {0: 60}})], NAIROBI).counts == {"Female": 0}


def test_coverage_is_of_the_time_in_which_the_deployment_stood():
    begins_ms = night_at(dt.date(2026, 6, 1), NAIROBI).begins_ms
    short = replace(NAIROBI, begins_ms=begins_ms + 2 * HOUR_MS, ends_ms=begins_ms + 4 * HOUR_MS)
    night = trap_night([hour(2, {"Female": {0: 60}}), hour(3, {}, observed_ms=0)], short)
    assert (night.expected_s, night.coverage, night.problem) == (7200.0, 0.5, True)


def test_several_models_and_thresholds_are_all_named():
    night = trap_night([hour(1, {}, models=("b",)), hour(2, {}, models=("a", "b"), thresholds=(0.2,))], NAIROBI, 0)
    assert (night.models, night.thresholds) == (("a", "b"), (0.2, 0.3))


@given(st.lists(st.integers(0, 50), min_size=1))
def test_a_median_of_a_tally_is_that_of_its_windows(counts: list[int]):
    tally = add_tallies({"Female": {count: 1}} for count in counts)
    ordered = sorted(counts)
    middle = ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]
    assert hour_counts(hour(1, tally, semantics="occupancy")) == {"Female": (middle + 1) // 2}
    assert hour_counts(hour(1, tally)) == {"Female": sum(counts)}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"latitude": None}, "or neither"),
        ({"longitude": 181.0}, "longitude -180 to 180"),
        ({"timezone": "Africa/Atlantis"}, "no timezone 'Africa/Atlantis'"),
        ({"timezone": "../etc"}, "no timezone"),
        ({"ends_ms": 0}, "ends before it begins"),
    ],
)
def test_a_deployment_that_can_not_be_is_refused(changes: dict[str, object], reason: str):
    with pytest.raises(ConfigError, match=reason):
        replace(NAIROBI, **changes)
