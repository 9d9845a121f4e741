"""What a bundle costs: time, interleaved with the others so that a warming machine is fair to all, and memory."""

import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from trap_contract.errors import BundleError
from trap_contract.runtimes import open_runtime

WARM_UP = 10
_ISA = ("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm")
_RSS = """
import sys
from pathlib import Path
import numpy as np
from trap_contract.detector import Detector
detector = Detector.load(Path(sys.argv[1]))
spec = detector.manifest.input
for _ in range(3):
    detector.detect(np.zeros((spec.height, spec.width, 3), np.uint8))
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
# Not getrusage: its maximum is inherited from the process that started this one.


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of the runtime alone, on one thread."""

    p50: float
    p95: float
    p99: float

    def as_json(self) -> dict[str, float]:
        """For reports."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def latencies(bundles: Mapping[str, Path], rounds: int, threads: int = 1) -> dict[str, Latency]:
    """Time every bundle on one picture of noise, one after the other, round by round."""
    samples = interleaved({name: runner(path, threads) for name, path in bundles.items()}, rounds, perf_counter)
    return {name: Latency(*np.percentile(row * 1e3, (50, 95, 99)).tolist()) for name, row in samples.items()}


def interleaved(
    runs: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, NDArray[np.float64]]:
    """Seconds of each run in each round, shape (rounds,); the order turns round by round, and warm-up is not kept."""
    names, kept = list(runs), {name: np.zeros(rounds) for name in runs}
    for number in range(-WARM_UP, rounds):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            start = clock()
            runs[name]()
            if number >= 0:
                kept[name][number] = clock() - start
    return kept


def peak_memory(bundle: Path) -> int:
    """Bytes resident at most in a fresh process that loads a bundle and detects: interpreter and runtime included.

    Raises BundleError when that process fails.
    """
    run = subprocess.run([sys.executable, "-c", _RSS, str(bundle)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise BundleError(f"{bundle}: does not run in a process of its own: {run.stderr.strip().splitlines()[-1:]}")
    return int(run.stdout.split()[-1]) * 1024


def runner(path: Path, threads: int) -> Callable[[], object]:
    """What runs a model once on a picture of noise, without any decoding."""
    runtime = open_runtime(path, threads)
    info = runtime.input
    tensor = np.random.default_rng(0).random(info.shape, np.float32)
    if info.quantisation is not None:
        tensor = tensor * 255 + np.iinfo(info.dtype).min
    tensor = tensor.astype(info.dtype)
    return lambda: runtime.run(tensor)


def processor() -> tuple[str, list[str]]:
    """Name of the processor, and its instruction sets that matter to INT8 and bfloat16, as Linux calls them."""
    source = Path("/proc/cpuinfo")
    pairs = (line.split(":", 1) for line in (source.read_text().splitlines() if source.exists() else []) if ":" in line)
    fields = {name.strip(): value.strip() for name, value in pairs}
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    return fields.get("model name", platform.machine()), [name for name in _ISA if name in flags]
