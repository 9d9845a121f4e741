"""How the board fares: what its files say, read at the edge; what it does not tell is None, never a guess."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from trap_contract.logs import log
from trap_contract.messages import GapReason, Health, Throttle, Window
from trap_contract.topics import TrapAddress

from trap_agent.benching.conditions import Conditions, read_conditions
from trap_agent.clock import Clock
from trap_agent.lens import Lens
from trap_agent.outbox import Outbox
from trap_agent.sensors import read_air, read_battery

_NOT_LOOKING: frozenset[GapReason] = frozenset({"start", "stop", "schedule"})
_FLAGS: tuple[Throttle, ...] = get_args(Throttle)
_BITS = (0, 1, 2, 3, 16, 17, 18, 19)
"""raspberrypi.com, vcgencmd get_throttled: the bits of the eight flags, in the order of the contract's names."""
_LEAST_LOOKED_S = 1.0


def throttle_flags(bits: int) -> tuple[Throttle, ...]:
    """Names of the firmware's throttle bits."""
    return tuple(name for name, place in zip(_FLAGS, _BITS, strict=True) if bits >> place & 1)


def voltage_flags(alarm: str) -> tuple[Throttle, ...] | None:
    """What in0_lcrit_alarm of the kernel's rpi_volt driver says; None when it says nothing."""
    known: dict[str, tuple[Throttle, ...]] = {"0": (), "1": ("under_voltage",)}
    return known.get(alarm.strip())


def resident_mb(statm: str, page_bytes: int) -> float | None:
    """The resident size in /proc/self/statm."""
    fields = statm.split()
    return int(fields[1]) * page_bytes / 1e6 if len(fields) > 1 and fields[1].isdecimal() else None


def available_mb(meminfo: str) -> float | None:
    """MemAvailable of /proc/meminfo."""
    rows = [line.split() for line in meminfo.splitlines()]
    found = [row[1] for row in rows if len(row) > 1 and row[0] == "MemAvailable:" and row[1].isdecimal()]
    return int(found[0]) * 1024 / 1e6 if found else None


def camera_fps(window: Window) -> float | None:
    """Frames a second that came while the window was looked at; None for one that slept or hardly began."""
    idle_s = sum(gap.seconds for gap in window.effort.gaps if gap.reason in _NOT_LOOKING)
    looked_s = window.duration_ms / 1000 - idle_s
    return None if looked_s < _LEAST_LOOKED_S else round(window.effort.frames_seen / looked_s, 2)


@dataclass(slots=True)
class Vitals:
    """Everything that health is read from; `root` is where proc and sys are."""

    trap: TrapAddress
    folder: Path
    clock: Clock
    outbox: Outbox
    lens: Lens
    root: Path = Path("/")
    last: Window | None = None

    def report(self) -> Health:
        """How things are now."""
        conditions = self._conditions()
        now = self.clock.now()
        seen, verdict = self.lens.state(now.mono_s)
        air, battery = read_air(self.root), read_battery(self.root)
        return Health(
            trap=self.trap.trap,
            boot=self.outbox.boot,
            wall_ms=now.wall_ms,
            uptime_s=round(now.mono_s, 1),
            soc_celsius=_sane_celsius(conditions),
            throttle=self._throttle(conditions),
            disk_free_mb=self._disk_free_mb(),
            memory_mb=resident_mb(self._text("proc/self/statm"), os.sysconf("SC_PAGESIZE")),
            memory_free_mb=available_mb(self._text("proc/meminfo")),
            camera_fps=camera_fps(self.last) if self.last else None,
            sharpness=round(seen.sharpness, 2) if seen else None,
            brightness=round(seen.brightness, 2) if seen else None,
            lens=verdict,
            outbox_held=self.outbox.held,
            outbox_dropped=self.outbox.dropped,
            outbox_on_disk=self.outbox.is_on_disk,
            battery_volts=battery.volts,
            battery_percent=battery.percent,
            air_celsius=air.celsius,
            humidity_percent=air.humidity_percent,
        )

    def as_text(self) -> str:
        """The same as JSON."""
        return self.report().model_dump_json()

    def _conditions(self) -> Conditions | None:
        try:
            return read_conditions(self.root)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            log.warning("the board's state can't be read", error=str(error))
            return None

    def _throttle(self, conditions: Conditions | None) -> tuple[Throttle, ...] | None:
        if conditions is not None and conditions.throttle is not None:
            return throttle_flags(conditions.throttle)
        chips = (self.root / "sys/class/hwmon").glob("hwmon*/name")
        ours = [chip.parent for chip in chips if self._text(chip).strip() == "rpi_volt"]
        return voltage_flags(self._text(ours[0] / "in0_lcrit_alarm")) if ours else None

    def _disk_free_mb(self) -> float | None:
        try:
            return round(shutil.disk_usage(self.folder).free / 1e6, 1)
        except OSError:
            return None

    def _text(self, file: str | Path) -> str:
        try:
            return (self.root / file).read_text(errors="replace")
        except OSError:
            return ""


def _sane_celsius(conditions: Conditions | None) -> float | None:
    """A temperature that the contract can carry: sensors that are absent answer with absurd ones."""
    celsius = conditions.celsius if conditions else None
    return celsius if celsius is not None and -60 <= celsius <= 200 else None
