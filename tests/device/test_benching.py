"""The benchmark's arithmetic, and what it reads of a board."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_agent.benching.conditions import (
    Conditions,
    _power_mode,
    departures,
    new_throttling,
    peak_megahertz,
    read_conditions,
    read_machine,
)
from trap_agent.benching.peak import peak_giga
from trap_agent.benching.samples import paired_ratio, spread, summarise
from trap_agent.benching.timing import Plan, interleave
from trap_agent.benching.work import multiply_accumulates

MODELS = Path(__file__).resolve().parents[2] / "models"
SECONDS = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=40).map(np.array)
PI_5 = """\
processor\t: 0
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU part\t: 0xd0b

Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""
ZEN_3 = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nflags\t\t: fma avx2\n"
ZEN_4 = ZEN_3.replace("avx2", "avx2 avx512f avx512_vnni")
ICE_LAKE = ZEN_4.replace("AuthenticAMD", "GenuineIntel").replace("25", "6")
PI_4 = "Features\t: fp asimd evtstrm crc32 cpuid\nCPU part\t: 0xd08\n"


def board(root: Path, cpuinfo: str, throttled: str = "", megahertz: int = 2400) -> Path:
    """The files of a Raspberry Pi."""
    files = {
        "proc/cpuinfo": cpuinfo,
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/loadavg": "0.10 0.20 0.30 1/100 1234\n",
        "proc/meminfo": "MemTotal: 4194304 kB\nSwapTotal: 102400 kB\nSwapFree: 51200 kB\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
        "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": f"{megahertz}000\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": throttled,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@given(SECONDS)
def test_percentiles_are_in_order_and_nothing_is_clipped(seconds):
    found = summarise(seconds)
    order = [found.p50, found.p90, found.p95, found.p99, found.max]
    assert order == sorted(order)
    assert found.max == pytest.approx(1e3 * seconds.max())
    assert found.count == len(seconds)
    assert 1e3 * seconds.min() <= found.mean * (1 + 1e-9)
    assert found.fps * found.p50 == pytest.approx(1e3)


@given(SECONDS, st.randoms())
def test_the_order_of_the_samples_does_not_matter(seconds, random):
    shuffled = list(seconds)
    random.shuffle(shuffled)
    assert summarise(np.array(shuffled)).as_json() == pytest.approx(summarise(seconds).as_json(), rel=1e-3, abs=1e-3)


@given(SECONDS, st.floats(0.1, 10))
def test_a_machine_so_many_times_as_slow_has_times_so_many_times_as_long(seconds, factor):
    once, slower = summarise(seconds), summarise(seconds * factor)
    for name in ("p50", "p99", "max", "mean", "std"):
        assert getattr(slower, name) == pytest.approx(getattr(once, name) * factor, rel=1e-6, abs=1e-6)
    assert slower.jitter == pytest.approx(once.jitter)


@given(SECONDS, st.floats(0.1, 10))
def test_a_ratio_of_pairs_does_not_see_the_drift_that_both_share(seconds, factor):
    ratio = paired_ratio(seconds * factor, seconds)
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx((factor, factor, factor))


def test_the_spread_is_the_distance_of_the_extremes_as_a_share_of_the_median():
    assert spread([10.0, 9.0, 12.0]) == pytest.approx(0.3)


def test_every_run_is_timed_once_a_round_in_turning_order_after_the_warm_up():
    calls: list[tuple[str, int]] = []
    ticks = itertools.count()
    runs = {name: lambda number, name=name: calls.append((name, number)) for name in "abc"}
    shares: list[float] = []
    found = interleave(runs, Plan(2, 0.0, 4, 0.0), lambda: next(ticks), shares.append)
    assert "".join(name for name, _ in calls) == "abcbca" + "abcbcacababc"
    assert {name: row.tolist() for name, row in found.items()} == dict.fromkeys("abc", [1.0] * 4)
    assert shares[-1] == 1


def test_measuring_goes_on_until_the_seconds_are_over_too():
    ticks = itertools.count()
    found = interleave({"a": lambda _: None}, Plan(0, 0.0, 2, 50.0), lambda: next(ticks), lambda _: None)
    assert len(found["a"]) > 10


def test_a_pi_5_is_read_from_its_files(tmp_path):
    root = board(tmp_path, PI_5, throttled="20000\n")
    machine = read_machine(root)
    assert machine.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert machine.memory_mb == 4096
    assert read_conditions(root) == Conditions(("ondemand",), 1500.0, 48.312, 0x20000, 0.1, 50)


def test_a_jetson_s_power_mode_is_read():
    assert _power_mode("NVPM WARN: fan mode is not set!\nNV Power Mode: MAXN_SUPER\n2\n") == "MAXN_SUPER"
    assert _power_mode("") is None


def test_a_machine_that_tells_nothing_is_none_everywhere(tmp_path):
    assert read_conditions(tmp_path) == Conditions((), None, None, None, None, None)
    assert read_machine(tmp_path).board == "unknown"
    assert peak_giga(read_machine(tmp_path), "int8", 2400.0) is None


@pytest.mark.parametrize(
    ("cpuinfo", "megahertz", "float32", "int8"),
    [(PI_5, 2400, 153.6, 614.4), (PI_4, 1800, 57.6, 115.2)],
)
def test_the_peaks_of_four_cores_are_those_of_the_literature(tmp_path, cpuinfo, megahertz, float32, int8):
    root = board(tmp_path, cpuinfo, megahertz=megahertz)
    machine, clock = read_machine(root), peak_megahertz(root)
    assert 4 * (peak_giga(machine, "float32", clock) or 0) == pytest.approx(float32)
    assert 4 * (peak_giga(machine, "int8", clock) or 0) == pytest.approx(int8)


@pytest.mark.parametrize(
    ("cpuinfo", "float32", "int8"),
    [(ZEN_3, 32, 64), (ZEN_4, 32, 128), (ICE_LAKE, 64, 256)],
    ids=["zen3", "zen4", "ice"],
)
def test_a_core_that_does_512_bits_in_halves_has_half_the_peak(tmp_path, cpuinfo, float32, int8):
    machine = read_machine(board(tmp_path, cpuinfo))
    assert [peak_giga(machine, precision, 1000.0) for precision in ("float32", "int8")] == [float32, int8]


def test_a_core_that_nobody_listed_has_no_peak(tmp_path):
    assert peak_giga(read_machine(board(tmp_path, PI_4.replace("d08", "fff"))), "float32", 2000.0) is None


def conditions(throttle: int | None, governor: str = "performance", load: float = 0.0) -> Conditions:
    return Conditions((governor,), 2400.0, 50.0, throttle, load, 0)


@given(st.integers(0, 0xFFFFF), st.integers(0, 0xFFFFF))
def test_only_a_new_throttle_bit_voids_a_run(before, after):
    found = new_throttling(conditions(before), conditions(after))
    assert (found == []) == ((after & 0xF000F) & ~before == 0)


def test_a_board_without_throttle_bits_voids_nothing():
    assert new_throttling(conditions(None), conditions(0xF)) == []


def test_what_makes_a_run_non_conforming_is_said(tmp_path):
    machine = read_machine(board(tmp_path, PI_5))
    said = "\n".join(departures(machine, conditions(0x1, "ondemand", load=64.0)))
    for part in ("ondemand, not performance", "the machine was busy", "throttled from the start: under-voltage"):
        assert part in said
    assert "performance" not in "\n".join(departures(machine, conditions(0)))


def test_a_virtual_machine_s_clock_is_doubted(tmp_path):
    machine = read_machine(board(tmp_path, ZEN_4.replace("fma", "hypervisor fma")))
    assert "shares of the peak may be too high" in "\n".join(
        departures(machine, Conditions((), 2596.0, None, None, 0, 0))
    )
    assert "peak" not in "\n".join(departures(machine, conditions(0)))


def test_the_work_of_the_shipped_model_is_that_of_the_literature():
    """0.495 GMAC: YOLOv8n with ten classes at most, 224 px, counted by another program."""
    assert multiply_accumulates(MODELS / "yolov8n_kd.tflite") == pytest.approx(0.495e9, rel=0.001)


def test_the_work_of_an_onnx_file_is_counted_in_its_graph(bundle):
    assert multiply_accumulates(bundle) == 0  # pooling only
