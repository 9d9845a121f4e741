"""When a trap looks and when it sleeps."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_agent.schedule import TrustedTime
from trap_contract.errors import ConfigError
from trap_contract.schedule import Schedule

from device.samples import WALL_MS, moment

MADRID = ZoneInfo("Europe/Madrid")
DAY_MS = 86_400_000


def at(text: str, zone: timezone | ZoneInfo = MADRID) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


@pytest.mark.parametrize(
    ("clock", "is_open"),
    [
        ("17:59:59", False),
        ("18:00:00", True),
        ("23:59:59", True),
        ("00:00", True),
        ("06:29:59", True),
        ("06:30", False),
    ],
)
def test_a_night_passes_midnight_in_local_time(clock, is_open):
    schedule = Schedule.parse("18:00-06:30 Europe/Madrid")
    assert schedule.is_open(at(f"2026-01-15 {clock}")) is is_open
    assert schedule.is_open(at(f"2026-07-15 {clock}")) is is_open  # an hour earlier in UTC


def test_several_spans_are_looked_at_each():
    schedule = Schedule.parse("05:00-08:00,18:00-22:00 UTC")
    hours = [hour for hour in range(24) if schedule.is_open(at(f"2026-03-01 {hour:02}:30", UTC))]
    assert hours == [5, 6, 7, 18, 19, 20, 21]


def test_an_hour_that_the_change_to_summer_time_skips_is_not_missed_for_longer():
    schedule = Schedule.parse("02:30-04:00 Europe/Madrid")  # 2026-03-29: 02:00 becomes 03:00
    minutes = [at("2026-03-29 00:00") + 60_000 * minute for minute in range(360)]
    assert sum(schedule.is_open(minute) for minute in minutes) == 60


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("18:00-06:30", "need a time zone"),
        ("18:00 UTC", "malformed"),
        ("24:00-06:00 UTC", "malformed"),
        ("6:00-07:00 UTC", "malformed"),
        ("06:00-06:00 UTC", "end when they begin"),
        ("18:00-06:30 Europe/Gotham", "not known here"),
        ("18:00-06:30 ../../etc/passwd", "not known here"),
        ("", "malformed"),
    ],
)
def test_hours_that_can_not_be_meant_are_refused_with_what_to_write(text, message):
    with pytest.raises(ConfigError, match=message):
        Schedule.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_a_schedule_or_a_config_error(text):
    try:
        Schedule.parse(text)
    except ConfigError:
        return
    assert ":" in text


SPAN = st.tuples(st.times(), st.times()).map(lambda pair: f"{pair[0]:%H:%M}-{pair[1]:%H:%M}")


@given(SPAN.filter(lambda span: span[:5] != span[6:]), st.integers(0, 2**41))
def test_a_span_and_the_rest_of_the_day_never_both_look(span, wall_ms):
    begin, end = span.split("-")
    assert Schedule.parse(f"{span} UTC").is_open(wall_ms) != Schedule.parse(f"{end}-{begin} UTC").is_open(wall_ms)


def test_a_clock_that_nothing_ever_vouched_for_tells_no_time():
    trusted = TrustedTime()
    assert trusted.wall_ms(moment(5.0)) is None


@pytest.mark.parametrize("step_ms", [-14 * DAY_MS, DAY_MS])
def test_a_step_of_a_clock_that_nothing_vouches_for_any_more_changes_nothing(step_ms):
    trusted = TrustedTime()
    trusted.wall_ms(moment(100.0, WALL_MS, is_synced=True))
    assert trusted.wall_ms(moment(160.0, WALL_MS + 60_000 + step_ms)) == WALL_MS + 60_000


@pytest.mark.parametrize("step_ms", [-14 * DAY_MS, DAY_MS])
def test_a_step_of_a_clock_that_is_vouched_for_is_believed(step_ms):
    trusted = TrustedTime()
    trusted.wall_ms(moment(100.0, WALL_MS, is_synced=True))
    assert trusted.wall_ms(moment(160.0, WALL_MS + step_ms, is_synced=True)) == WALL_MS + step_ms


def test_the_local_day_of_a_named_zone_is_used_and_not_the_machine_s():
    schedule = Schedule.parse("00:00-12:00 Asia/Tokyo")
    noon_utc = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert not schedule.is_open(round(noon_utc.timestamp() * 1000))
    assert schedule.is_open(round((noon_utc + timedelta(hours=4)).timestamp() * 1000))
