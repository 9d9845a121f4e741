"""Under which conditions a board was measured, read from its files; what it does not tell is None."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPU = "sys/devices/system/cpu"
_RUNTIMES = ("ai-edge-litert", "tflite-runtime", "onnxruntime", "openvino", "numpy", "opencv-python-headless")
_THROTTLE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_THROTTLE_BITS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
"""raspberrypi.com, vcgencmd get_throttled; the same 16 bits higher mean: since the board started."""

_BUSY_LOAD = 0.5
BOARDS = ("aarch64", "armv7l")
"""What traps are made of."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What does not change while it is measured."""

    board: str
    machine: str
    processor: str
    family: str
    parts: tuple[str, ...]
    features: frozenset[str]
    cores: int
    memory_mb: int | None
    kernel: str
    python: str
    packages: dict[str, str]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What changes: governors, clock in MHz, SoC temperature, throttle bits, load (1 min), swap in use.

    A Jetson also has a power mode, which caps its clocks.
    """

    governors: tuple[str, ...]
    megahertz: float | None
    celsius: float | None
    throttle: int | None
    load: float | None
    swap_mb: int | None
    power_mode: str | None = None


def read_machine(root: Path = Path("/")) -> Machine:
    """The machine that this runs on; `root` is where proc and sys are."""
    fields = _cpu_fields(root)
    model = _text(root / "proc/device-tree/model").strip("\0\n ")
    names = [value for name, value in fields if name in ("model name", "Model")]
    return Machine(
        board=model or "unknown",
        machine=platform.machine(),
        processor=names[0] if names else platform.machine(),
        family=_family(fields),
        parts=tuple(sorted({value for name, value in fields if name == "CPU part"})),
        features=frozenset(next((value.split() for name, value in fields if name in ("flags", "Features")), [])),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=_meminfo_mb(root, "MemTotal"),
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: found for name in _RUNTIMES if (found := _version(name))},
    )


def read_conditions(root: Path = Path("/")) -> Conditions:
    """The conditions now."""
    total, free = _meminfo_mb(root, "SwapTotal"), _meminfo_mb(root, "SwapFree")
    load = _text(root / "proc/loadavg").split()
    return Conditions(
        governors=tuple(sorted({_text(file).strip() for file in (root / _CPU).glob("cpu*/cpufreq/scaling_governor")})),
        megahertz=_now_megahertz(root),
        celsius=_celsius(root),
        throttle=_throttle(root),
        load=float(load[0]) if load else None,
        swap_mb=None if total is None or free is None else total - free,
        power_mode=_power_mode(_output(["nvpmodel", "-q"])),
    )


def peak_megahertz(root: Path = Path("/")) -> float | None:
    """The fastest that a core may run, else the clock it reports now."""
    kilohertz = [_whole(_text(file)) for file in (root / _CPU).glob("cpu*/cpufreq/cpuinfo_max_freq")]
    known = [value / 1e3 for value in kilohertz if value is not None]
    return max(known, default=None) or _now_megahertz(root)


def new_throttling(before: Conditions, after: Conditions) -> list[str]:
    """Names of the throttle bits that were set during the run: any of them voids it."""
    if before.throttle is None or after.throttle is None:
        return []
    return throttle_names(after.throttle & ~before.throttle)


def throttle_names(bits: int) -> list[str]:
    """What these bits mean, each once."""
    return [name for place, name in _THROTTLE_BITS.items() if bits & (0x10001 << place)]


def departures(machine: Machine, before: Conditions) -> list[str]:
    """Why numbers taken now are not those of an undisturbed trap at full speed."""
    found = []
    if machine.machine not in BOARDS:
        found.append(f"measured on {machine.machine}, not on a trap's board")
    if before.governors != ("performance",):
        names = ", ".join(before.governors) or "unknown"
        found.append(f"frequency governor is {names}, not performance")
    if "hypervisor" in machine.features and not before.governors:
        found.append("a virtual machine tells a clock that is not the true one: shares of the peak may be too high")
    if before.load is not None and before.load > _BUSY_LOAD * machine.cores:
        found.append(f"the machine was busy: load {before.load:.1f} on {machine.cores} cores before the run")
    if before.throttle is not None and before.throttle & 0xF:
        found.append(f"throttled from the start: {', '.join(throttle_names(before.throttle & 0xF))}")
    return found


def _cpu_fields(root: Path) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in _text(root / "proc/cpuinfo").splitlines())
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _family(fields: Sequence[tuple[str, str]]) -> str:
    """Maker and family of an x86 processor, as in AuthenticAMD 25."""
    first = dict(reversed(fields))
    return f"{first.get('vendor_id', '')} {first.get('cpu family', '')}".strip()


def _now_megahertz(root: Path) -> float | None:
    kilohertz = [_whole(_text(file)) for file in (root / _CPU).glob("cpu*/cpufreq/scaling_cur_freq")]
    known = [value / 1e3 for value in kilohertz if value is not None]
    known += [float(value) for name, value in _cpu_fields(root) if name == "cpu MHz"]
    return max(known, default=None)


def _celsius(root: Path) -> float | None:
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    values = {_text(zone / "type").strip(): _whole(_text(zone / "temp")) for zone in zones}
    ours: Iterable[int | None] = [value for name, value in values.items() if name.lower().startswith(("cpu", "soc"))]
    found = next((value for value in (*ours, *values.values()) if value is not None), None)
    return None if found is None else found / 1e3


def _throttle(root: Path) -> int | None:
    text = _text(root / _THROTTLE).strip() or _output(["vcgencmd", "get_throttled"]).rpartition("=")[2].strip()
    try:
        return int(text, 16)
    except ValueError:
        return None


def _power_mode(answer: str) -> str | None:
    """What nvpmodel calls the mode, as in: NV Power Mode: MAXN_SUPER."""
    return next((line.partition(":")[2].strip() for line in answer.splitlines() if "power mode:" in line.lower()), None)


def _output(command: Sequence[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout


def _meminfo_mb(root: Path, name: str) -> int | None:
    lines = [line.split() for line in _text(root / "proc/meminfo").splitlines()]
    return next((int(words[1]) // 1024 for words in lines if words[0] == f"{name}:"), None)


def _whole(text: str) -> int | None:
    return int(text) if text.strip().lstrip("-").isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
