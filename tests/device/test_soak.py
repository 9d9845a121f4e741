"""A short soak: what runs for months must not grow. The long one is benchmarks/soak.py."""

import subprocess
from pathlib import Path

from device.agents import command

FRAMES, EARLY, LATE = 2000, 1200, 1900  # by the thousandth frame the allocator and the caches have what they need
MOST_MB = 4.0


def resident_mb(pid: int) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_neither_memory_nor_open_files_grow_with_frames_and_windows(bundle):
    flags = ["--model", bundle, "--source", f"rendered:3:{FRAMES}", "--fps", 1, "--window", 1, "--threads", 1]
    grown: dict[int, tuple[float, int]] = {}
    with subprocess.Popen(command(*flags, "--stdout"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as agent:
        assert agent.stdout is not None
        for number, _ in enumerate(agent.stdout, 1):
            if number in (EARLY, LATE):
                grown[number] = resident_mb(agent.pid), open_files(agent.pid)
    (early_mb, early_files), (late_mb, late_files) = grown[EARLY], grown[LATE]
    assert late_mb - early_mb < MOST_MB
    assert late_files == early_files
