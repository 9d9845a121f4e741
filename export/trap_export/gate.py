"""What a file may lose against the network it was made from, before it is refused."""

from collections.abc import Iterator
from dataclasses import dataclass

from trap_contract.manifest import Metrics


@dataclass(frozen=True, slots=True)
class Limits:
    """Greatest falls of mAP50-95 over all classes, and of any class's AP50."""

    map50_95: float = 0.005
    class_ap50: float = 0.03


def metric_faults(metrics: Metrics, reference: Metrics, limits: Limits) -> Iterator[str]:
    """Each fall that is too deep, in words."""
    fall = reference.map50_95 - metrics.map50_95
    if fall > limits.map50_95:
        yield _fault("mAP50-95", fall, reference.map50_95, metrics.map50_95, limits.map50_95)
    for name, known in reference.classes.items():
        found = metrics.classes[name].map50 if name in metrics.classes else 0.0
        if known.map50 - found > limits.class_ap50:
            yield _fault(f"AP50 of {name}", known.map50 - found, known.map50, found, limits.class_ap50)


def _fault(what: str, fall: float, before: float, after: float, limit: float) -> str:
    return f"{what} falls by {fall:.4f} ({before:.4f} to {after:.4f}), at most {limit} is allowed"
