"""Where insects are and how fast they move: one Kalman filter each, all in the same arrays.

Lengths are in units of the insect's own size, the square root of its box's area, so that one set of numbers serves
every camera. The motion is a constant velocity that dies away, because insects on a board mostly sit.
"""

import numpy as np
from numpy.typing import NDArray
from trap_contract.detections import Detections

Floats = NDArray[np.float64]

_STOPS_AFTER_S = 1.0  # time constant of a velocity nobody sees any more
_ACCELERATION = 0.1  # standard deviation of one that sits, sizes / s^2; one that moves also changes by its speed
_JITTER = 0.08  # of a detected centre, sizes
_FIRST_SPEED = 0.5  # standard deviation of an unknown velocity, sizes / s
_SIZE_GAIN = 0.2


def centres_and_sizes(found: Detections) -> tuple[Floats, Floats]:
    """Centres (N, 2) and sizes (N,) of boxes, in px; a size is at least 1."""
    boxes = found.boxes.astype(np.float64)
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(0)
    return (boxes[:, :2] + boxes[:, 2:]) / 2, np.sqrt(sides.prod(axis=1)).clip(1)


class Motion:
    """N filters: `centres` (N, 2) px and `sizes` (N,) px."""

    def __init__(self) -> None:
        self.centres: Floats = np.zeros((0, 2))
        self.sizes: Floats = np.zeros(0)
        self._speeds: Floats = np.zeros((0, 2))
        self._spread: Floats = np.zeros((0, 3))  # variance of place, covariance, variance of speed

    @property
    def doubt(self) -> Floats:
        """Standard deviation (N,) of every place, in sizes."""
        return np.sqrt(self._spread[:, 0])

    def add(self, centres: Floats, sizes: Floats) -> None:
        """Begin filters at rest at these places."""
        self.centres = np.concatenate([self.centres, centres])
        self.sizes = np.concatenate([self.sizes, sizes])
        self._speeds = np.concatenate([self._speeds, np.zeros_like(centres)])
        self._spread = np.concatenate([self._spread, np.tile(_first_spread(), (len(sizes), 1))])

    def keep(self, index: NDArray[np.int64]) -> None:
        """Leave out all but these."""
        self.centres, self.sizes = self.centres[index], self.sizes[index]
        self._speeds, self._spread = self._speeds[index], self._spread[index]

    def predict(self, step_s: float) -> None:
        """Move on by a time."""
        noise = (_ACCELERATION + np.linalg.norm(self._speeds, axis=1) / self.sizes) ** 2 * step_s
        fade = float(np.exp(-step_s / _STOPS_AFTER_S))
        reach = _STOPS_AFTER_S * (1 - fade)
        self.centres = self.centres + reach * self._speeds
        self._speeds = fade * self._speeds
        place, both, speed = self._spread.T
        self._spread = np.stack(
            [
                place + 2 * reach * both + reach**2 * speed + noise * step_s**2 / 3,
                fade * (both + reach * speed) + noise * step_s / 2,
                fade**2 * speed + noise,
            ],
            axis=1,
        )

    def halt(self) -> None:
        """Forget every velocity: nobody knows what happened meanwhile."""
        self._speeds = np.zeros_like(self._speeds)
        self._spread = np.tile(_first_spread(), (len(self.sizes), 1))

    def correct(self, index: NDArray[np.int64], centres: Floats, sizes: Floats) -> None:
        """Take in what was detected of these."""
        place, both, speed = self._spread[index].T
        total = place + _JITTER**2
        gain, push = place / total, both / total
        off = centres - self.centres[index]
        self.centres[index] += gain[:, None] * off
        self._speeds[index] += push[:, None] * off
        self._spread[index] = np.stack([(1 - gain) * place, (1 - gain) * both, speed - push * both], axis=1)
        self.sizes[index] += _SIZE_GAIN * (sizes - self.sizes[index])


def _first_spread() -> Floats:
    return np.array([_JITTER**2, 0.0, _FIRST_SPEED**2])
