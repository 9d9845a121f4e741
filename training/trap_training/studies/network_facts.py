"""What a trained network is made of, and how long it looks at one picture."""

import hashlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trap_contract.errors import DataError

_WARM_UP = 5


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """Size of a network, and the time of its float forward of one picture on one CPU thread.

    milliseconds: median; milliseconds_p95: 95th percentile. digest: SHA-256 of the checkpoint, hex.
    """

    layers: int
    parameters: int
    gflops: float
    file_bytes: int
    milliseconds: float
    milliseconds_p95: float
    digest: str

    @property
    def fps(self) -> float:
        """Pictures a second, from the median."""
        return 1000 / self.milliseconds


def network_facts(weights: Path, imgsz: int, repetitions: int) -> NetworkFacts:
    """Measure a checkpoint at imgsz x imgsz px.

    Raises DataError when it can't be read.
    """
    from ultralytics import YOLO

    try:
        layers, parameters, _, gflops = YOLO(str(weights), task="detect").info(imgsz=imgsz)
    except Exception as error:  # unpickling a damaged file can raise anything
        raise DataError(f"{weights}: not a network that Ultralytics can read: {error}") from error
    times = time_network(weights, imgsz, repetitions)
    content = weights.read_bytes()
    median, p95 = statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[-1]
    digest = hashlib.sha256(content).hexdigest()
    return NetworkFacts(layers, parameters, float(gflops), len(content), median, p95, digest)


def time_network(
    weights: Path, imgsz: int, repetitions: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Milliseconds of each of so many forwards of one picture: fused, in float, on one CPU thread, after a warm-up."""
    import torch
    from ultralytics import YOLO

    network = YOLO(str(weights), task="detect").model.float().fuse(verbose=False).eval()
    picture = torch.rand(1, 3, imgsz, imgsz, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    try:
        with torch.inference_mode():
            for _ in range(_WARM_UP + repetitions):
                began = clock()
                network(picture)
                times.append((clock() - began) * 1000)
    finally:
        torch.set_num_threads(threads)
    return times[_WARM_UP:]
