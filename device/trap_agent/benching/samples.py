"""What timings say: every sample counts, none is clipped."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

_QUARTERS = (50, 25, 75)


@dataclass(frozen=True, slots=True)
class Summary:
    """Milliseconds, frames a second at the median, and jitter: how many medians long the slowest in a hundred is."""

    count: int
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    mean: float
    std: float
    fps: float
    jitter: float

    def as_json(self) -> dict[str, float]:
        """For reports."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median of the rounds' ratios, and the first and third quarter of them."""

    median: float
    low: float
    high: float


def summarise(seconds: Samples) -> Summary:
    """The summary of samples (N,) > 0, N >= 1."""
    milliseconds = np.asarray(seconds, np.float64) * 1e3
    p50, p90, p95, p99 = (float(value) for value in np.percentile(milliseconds, (50, 90, 95, 99)))
    return Summary(
        count=len(milliseconds),
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        max=float(milliseconds.max()),
        mean=float(milliseconds.mean()),
        std=float(milliseconds.std()),
        fps=1e3 / p50,
        jitter=p99 / p50,
    )


def paired_ratio(above: Samples, below: Samples) -> Ratio:
    """How many times as long the first takes; both (N,), sample by sample of the same round, so drift cancels."""
    median, low, high = (float(value) for value in np.percentile(above / below, _QUARTERS))
    return Ratio(median, low, high)


def spread(values: Sequence[float]) -> float:
    """Largest less smallest, as a share of the median: how far repetitions lie apart."""
    return float((max(values) - min(values)) / np.median(values))
