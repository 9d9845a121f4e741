"""Which pictures set the INT8 ranges: from the train split alone, spread over classes and brightness."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from trap_contract.dataset import DataSet, read_labels
from trap_contract.errors import DataError
from trap_contract.letterbox import letterbox
from trap_contract.pictures import read_picture

FEWEST = 32
"""Below this many pictures the ranges are a matter of luck."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Pictures as (N, H, W, 3) RGB in 0..1, float32, and the SHA-256 of their pixels."""

    pictures: NDArray[np.float32]
    digest: str


def choose_calibration(data: DataSet, count: int) -> list[Path]:
    """At most `count` train pictures, evenly spaced in the order of rarest class, then brightness.

    Raises DataError when there are too few.
    """
    pictures = data.pictures("train")
    if len(pictures) < FEWEST:
        raise DataError(f"{data.file}: {len(pictures)} train pictures are too few to calibrate: give at least {FEWEST}")
    labels = [read_labels(picture).classes for picture in pictures]
    frequency = np.bincount(np.concatenate([*labels, np.zeros(0, np.int64)]), minlength=len(data.names))
    rarest = [min(found, key=lambda name: (frequency[name], name), default=-1) for found in labels]
    order = sorted(range(len(pictures)), key=lambda place: (rarest[place], _brightness(pictures[place]), place))
    chosen = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [pictures[order[place]] for place in chosen]


def load_calibration(pictures: list[Path], width: int, height: int) -> Calibration:
    """The chosen pictures as the model will see them."""
    canvases = [letterbox(read_picture(picture), width, height)[0][..., ::-1] for picture in pictures]
    stacked = np.stack(canvases)
    digest = hashlib.sha256(np.ascontiguousarray(stacked).tobytes()).hexdigest()
    return Calibration(stacked.astype(np.float32) / np.float32(255), digest)


def _brightness(picture: Path) -> float:
    return float(read_picture(picture).mean())
