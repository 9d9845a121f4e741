"""How a board's files become its health."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_agent.health import (
    Vitals,
    available_mb,
    camera_fps,
    resident_mb,
    throttle_flags,
    voltage_flags,
)
from trap_agent.lens import Lens
from trap_contract.messages import Effort, Gap, Window

from device.samples import SetClock, draft
from device.test_outbox import ADDRESS, BOOT, opened


@pytest.fixture
def vitals(tmp_path):
    with opened(tmp_path / "state") as outbox:
        state = tmp_path / "state"
        yield Vitals(ADDRESS, state, SetClock(), outbox, Lens(state, "camera:0"), tmp_path / "root")


def put(vitals: Vitals, path: str, text: str) -> None:
    file = vitals.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_board_that_tells_nothing_reports_nulls(vitals):
    report = json.loads(vitals.report().model_dump_json())
    silent = ("soc_celsius", "throttle", "memory_mb", "memory_free_mb", "camera_fps", "sharpness", "brightness", "lens")
    assert [report[name] for name in silent] == [None] * len(silent)
    assert (report["outbox_held"], report["outbox_dropped"], report["uptime_s"]) == (0, 0, 100.0)
    assert report["disk_free_mb"] > 0


def test_a_raspberry_pi_reports_heat_memory_and_its_firmware_s_flags(vitals):
    put(vitals, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(vitals, "sys/class/thermal/thermal_zone0/temp", "61234\n")
    put(vitals, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    put(vitals, "proc/self/statm", "90000 25000 8000 1 0 20000 0\n")
    put(vitals, "proc/meminfo", "MemTotal:  3884000 kB\nMemAvailable:  1000000 kB\n")
    report = vitals.report()
    assert report.soc_celsius == pytest.approx(61.234)
    assert report.throttle == ("under_voltage", "throttled", "under_voltage_before", "throttled_before")
    assert report.memory_mb == pytest.approx(25000 * 4096 / 1e6)
    assert report.memory_free_mb == pytest.approx(1024)


@pytest.mark.parametrize(("alarm", "flags"), [("1\n", ("under_voltage",)), ("0\n", ()), ("", None)])
def test_on_a_kernel_without_the_firmware_file_the_voltage_sensor_answers(vitals, alarm, flags):
    put(vitals, "sys/class/hwmon/hwmon1/name", "cpu_thermal\n")
    put(vitals, "sys/class/hwmon/hwmon2/name", "rpi_volt\n")
    put(vitals, "sys/class/hwmon/hwmon2/in0_lcrit_alarm", alarm)
    assert vitals.report().throttle == flags


def test_an_absent_sensor_s_absurd_temperature_is_null(vitals):
    put(vitals, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(vitals, "sys/class/thermal/thermal_zone0/temp", "-274000\n")
    assert vitals.report().soc_celsius is None


def test_what_the_outbox_gave_up_is_reported(tmp_path):
    with opened(tmp_path, limit=2) as outbox:
        for _ in range(5):
            outbox.store(draft())
        report = Vitals(ADDRESS, tmp_path, SetClock(), outbox, Lens(tmp_path, "x"), tmp_path).report()
    assert (report.outbox_held, report.outbox_dropped) == (2, 3)


def window(seen: int, *gaps: Gap) -> Window:
    effort = Effort(observed_s=0, frames_seen=seen, frames_analysed=0, gaps=gaps)
    return draft()(boot=BOOT, seq=1, duration_ms=60_000, effort=effort)


def test_the_camera_s_rate_is_over_the_time_in_which_it_was_looked_at():
    assert camera_fps(window(600)) == 10
    assert camera_fps(window(300, Gap(reason="schedule", seconds=20), Gap(reason="stop", seconds=10))) == 10
    assert camera_fps(window(0, Gap(reason="no_frame", seconds=60))) == 0
    assert camera_fps(window(0, Gap(reason="schedule", seconds=60))) is None


@pytest.mark.parametrize(
    ("bits", "flags"),
    [
        (0, ()),
        (0x1, ("under_voltage",)),
        (0x8, ("soft_temperature_limit",)),
        (0x20000, ("frequency_capped_before",)),
        (0xFFF0, ()),
    ],
)
def test_firmware_bits_have_names(bits, flags):
    assert throttle_flags(bits) == flags


@given(st.text(max_size=200))
def test_any_text_is_read_as_a_value_or_as_unknown(text):
    assert (resident_mb(text, 4096) or 0) >= 0
    assert (available_mb(text) or 0) >= 0
    assert voltage_flags(text) in (None, (), ("under_voltage",))
