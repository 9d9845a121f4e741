"""Air and battery, from a sysfs made of files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_agent.health import Vitals
from trap_agent.lens import Lens
from trap_agent.sensors import Air, Battery, read_air, read_battery

from device.samples import SetClock
from device.test_outbox import ADDRESS, opened

IIO, HWMON, SUPPLY = "sys/bus/iio/devices", "sys/class/hwmon", "sys/class/power_supply"


def put(root: Path, folder: str, **files: object) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / folder / name).write_text(f"{content}\n")


def test_a_board_without_sensors_tells_nothing(tmp_path):
    put(tmp_path, f"{SUPPLY}/mains", type="Mains", online=1)
    assert (read_air(tmp_path), read_battery(tmp_path)) == (Air(), Battery())


def test_a_bme280_is_read_as_its_driver_scales_it(tmp_path):
    put(tmp_path, f"{IIO}/iio:device0", name="bme280", in_temp_input=24_460, in_humidityrelative_input=61_250)
    assert read_air(tmp_path) == Air(24.46, 61.25)


def test_a_raw_sensor_is_scaled_as_it_says(tmp_path):
    put(tmp_path, f"{IIO}/iio:device0", in_temp_raw=26_000, in_temp_offset="-15887.515151", in_temp_scale="2.517700195")
    put(tmp_path, f"{IIO}/iio:device0", in_humidityrelative_raw=32_768, in_humidityrelative_scale="1.525878906")
    assert read_air(tmp_path) == Air(25.46, 50.0)


def test_an_sht4x_of_hwmon_is_air_and_the_chips_thermometers_are_not(tmp_path):
    put(tmp_path, f"{HWMON}/hwmon0", name="cpu_thermal", temp1_input=71_000)
    put(tmp_path, f"{IIO}/iio:device0", name="adc", in_temp_input=68_000)
    put(tmp_path, f"{HWMON}/hwmon1", name="sht4x", temp1_input=27_400, humidity1_input=81_000)
    assert read_air(tmp_path) == Air(27.4, 81.0)


@pytest.mark.parametrize("nonsense", ["", "nan", "-274000", "inf", "\x00", "no data"])
def test_nonsense_is_none_and_another_sensor_is_asked(tmp_path, nonsense):
    put(tmp_path, f"{IIO}/iio:device0", in_temp_input=nonsense, in_humidityrelative_input=61_250)
    assert read_air(tmp_path) == Air(None, 61.25)
    put(tmp_path, f"{IIO}/iio:device1", in_temp_input=24_460, in_humidityrelative_input=70_000)
    assert read_air(tmp_path) == Air(24.46, 61.25)


def test_a_driver_that_can_not_read_its_sensor_is_none(tmp_path):
    put(tmp_path, f"{IIO}/iio:device0", in_humidityrelative_input=61_250)
    (tmp_path / f"{IIO}/iio:device0/in_temp_input").mkdir()  # reading it raises an OSError, as EIO does
    assert read_air(tmp_path) == Air(None, 61.25)


def test_the_boards_own_battery_is_read_and_a_mouses_is_not(tmp_path):
    put(tmp_path, f"{SUPPLY}/hid-mouse", type="Battery", scope="Device", voltage_now=1_500_000, capacity=3)
    put(tmp_path, f"{SUPPLY}/max17040", type="Battery", voltage_now=3_912_500, capacity=87)
    assert read_battery(tmp_path) == Battery(3.912, 87)


@given(st.text(max_size=20), st.text(max_size=20))
def test_whatever_the_files_hold_health_can_carry_it(tmp_path_factory, air, battery):
    root = tmp_path_factory.mktemp("root")
    put(root, f"{IIO}/iio:device0", in_temp_input=air.encode("utf-8", "replace").decode())
    put(root, f"{IIO}/iio:device0", in_humidityrelative_input=battery.encode("utf-8", "replace").decode())
    put(root, f"{SUPPLY}/b", type="Battery", capacity=air.encode("utf-8", "replace").decode())
    found, charge = read_air(root), read_battery(root)
    assert found.celsius is None or -60 <= found.celsius <= 100
    assert found.humidity_percent is None or 0 <= found.humidity_percent <= 100
    assert charge.percent is None or 0 <= charge.percent <= 100


def test_health_carries_air_and_battery(tmp_path):
    put(tmp_path, f"{IIO}/iio:device0", in_temp_input=24_460, in_humidityrelative_input=61_250)
    put(tmp_path, f"{SUPPLY}/b", type="Battery", voltage_now=12_600_000, capacity=87)
    with opened(tmp_path / "state") as outbox:
        report = Vitals(ADDRESS, tmp_path, SetClock(), outbox, Lens(tmp_path, "x"), tmp_path).report()
    assert (report.air_celsius, report.humidity_percent) == (24.46, 61.25)
    assert (report.battery_volts, report.battery_percent) == (12.6, 87)
