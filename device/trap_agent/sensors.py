"""Air and battery, as the kernel's drivers tell them in sysfs; a sensor that is absent, or talks nonsense, is None.

Air comes from what measures humidity too (BME280, HDC1080, HTU21 in iio; SHT3x, SHT4x in hwmon), or pressure (BMP280):
other thermometers are those of chips. Units are those of the kernel's ABI documents sysfs-bus-iio, sysfs-class-hwmon
and sysfs-class-power: thousandths of a degree Celsius and of a percent, millionths of a volt.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CELSIUS = (-60.0, 100.0)
_PERCENT = (0.0, 100.0)
_VOLTS = (0.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Air:
    """What a trap hangs in."""

    celsius: float | None = None
    humidity_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Battery:
    """What a trap lives on."""

    volts: float | None = None
    percent: float | None = None


def read_air(root: Path) -> Air:
    """Of the first sensor that has it each; `root` is where sys is."""
    sensors = [*sorted(root.glob("sys/bus/iio/devices/iio:device*")), *sorted(root.glob("sys/class/hwmon/hwmon*"))]
    ours = [sensor for sensor in sensors if _measures_air(sensor)]
    return Air(
        _first((_channel(sensor, ("in_temp", "temp1")) for sensor in ours), _CELSIUS),
        _first((_channel(sensor, ("in_humidityrelative", "humidity1")) for sensor in ours), _PERCENT),
    )


def read_battery(root: Path) -> Battery:
    """Of the board's own battery, not that of a device beside it."""
    supplies = sorted(root.glob("sys/class/power_supply/*"))
    ours = [one for one in supplies if _text(one / "type") == "Battery" and _text(one / "scope") != "Device"]
    return Battery(
        _first((_scaled(_number(one / "voltage_now"), 1e-6) for one in ours), _VOLTS),
        _first((_number(one / "capacity") for one in ours), _PERCENT),
    )


def _measures_air(sensor: Path) -> bool:
    return any(
        (next(sensor.glob(pattern), None)) for pattern in ("in_humidityrelative_*", "in_pressure_*", "humidity1_*")
    )


def _channel(sensor: Path, names: Iterable[str]) -> float | None:
    """A measurement, scaled by the driver (`_input`) or as it says (`_raw`, `_offset`, `_scale`)."""
    for name in names:
        scaled = _number(sensor / f"{name}_input")
        if scaled is None and (raw := _number(sensor / f"{name}_raw")) is not None:
            offset, scale = _number(sensor / f"{name}_offset") or 0.0, _number(sensor / f"{name}_scale")
            scaled = _scaled(raw + offset, scale or 1.0)
        if scaled is not None:
            return scaled / 1000
    return None


def _first(values: Iterable[float | None], within: tuple[float, float]) -> float | None:
    least, most = within
    return next((round(value, 3) for value in values if value is not None and least <= value <= most), None)


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _number(file: Path) -> float | None:
    try:
        return float(_text(file))
    except ValueError:
        return None


def _text(file: Path) -> str:
    """Empty where there is none, or the driver can't read its sensor."""
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
