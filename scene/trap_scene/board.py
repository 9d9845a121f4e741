"""The trap board itself: its stuff, its light and the camera's noise."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]  # H,W,3 BGR, 0..255


@dataclass(frozen=True, slots=True)
class Board:
    """An empty board. `tint` (3,) BGR multiplies what lies on it; `shadow` 0..1 is how dark contact shadows are."""

    pixels: Pixels
    tint: NDArray[np.float32]
    shadow: float


def cloud(rng: np.random.Generator, width: int, height: int, cell: float) -> NDArray[np.float32]:
    """Smooth noise of unit strength with features of about `cell` px, (height, width)."""
    cells = (max(2, round(height / cell) + 2), max(2, round(width / cell) + 2))
    noise = rng.standard_normal(cells, dtype=np.float32)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def draw_board(rng: np.random.Generator, width: int, height: int) -> Board:
    """A random kind of board under a random light."""
    kind = rng.choice(["card", "yellow", "blue", "net", "backlit"], p=[0.36, 0.14, 0.14, 0.16, 0.2])
    base = {
        "card": rng.uniform(185, 244) + rng.normal(0, 4, 3),
        "yellow": np.array([120, 205, 222]) * rng.uniform(0.85, 1.08) + rng.normal(0, 4, 3),
        "blue": np.array([222, 204, 182]) * rng.uniform(0.8, 1.05) + rng.normal(0, 6, 3),
        "net": rng.uniform(150, 222) + rng.normal(0, 5, 3),
        "backlit": np.array([238, 178, 152]) * rng.uniform(0.85, 1.05) + rng.normal(0, 8, 3),
    }[kind]
    stuff = np.broadcast_to(base.astype(np.float32), (height, width, 3))
    relief = _net(rng, width, height) if kind == "net" else _paper(rng, width, height)
    pixels = stuff * relief[..., None] * _light(rng, width, height, base)
    tint = 0.55 + 0.45 * base / base.max() if kind == "backlit" else 0.85 + 0.15 * base / base.max()
    gain = rng.uniform(0.6, 0.85) if kind == "backlit" else rng.uniform(0.8, 1.1)
    shadow = rng.uniform(0.0, 0.12) if kind == "backlit" else rng.uniform(0.15, 0.5)
    return Board(pixels.astype(np.float32), (tint * gain).astype(np.float32), float(shadow))


def _paper(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Fibrous grain: fine and middling mottle, at times a lengthwise lay."""
    fine = cv2.GaussianBlur(rng.standard_normal((height, width), dtype=np.float32), (0, 0), rng.uniform(0.6, 1.1))
    mottle = cloud(rng, width, height, rng.uniform(2.5, 6)) + cloud(rng, width, height, rng.uniform(10, 30))
    lay = cv2.blur(rng.standard_normal((height, width), dtype=np.float32), (int(rng.integers(7, 19)), 1))
    grain = rng.uniform(0.01, 0.035) * fine + rng.uniform(0.002, 0.012) * mottle + rng.uniform(0, 0.03) * lay
    return np.asarray(1 + grain, np.float32)


def _net(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Woven mesh, a little out of true, over a paler or darker ground."""
    pitch, turn = rng.uniform(5, 11), rng.uniform(0, np.pi)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    warp = [rng.uniform(0.5, 2.0) * cloud(rng, width, height, 60) for _ in range(2)]
    u = (x * math.cos(turn) + y * math.sin(turn) + warp[0]) * (2 * math.pi / pitch)
    v = (y * math.cos(turn) - x * math.sin(turn) + warp[1]) * (2 * math.pi / pitch)
    threads = np.maximum(np.cos(u), np.cos(v)).clip(0.2, 1) ** rng.uniform(3, 9)
    weave = 0.12 * np.sign(np.sin(u / 2) * np.sin(v / 2)) * threads
    fine = rng.standard_normal((height, width), dtype=np.float32) * 0.02
    return np.asarray(1 + rng.choice([-0.3, -0.18, 0.14]) * (threads + weave) + fine, np.float32)


def _light(rng: np.random.Generator, width: int, height: int, base: NDArray[np.float64]) -> Pixels:
    """Gain (H,W,3): a slope, a vignette, soft patches, and a colour that drifts across the board."""
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    turn = rng.uniform(0, 2 * np.pi)
    slope = x * math.cos(turn) + y * math.sin(turn)
    ring = (x - rng.normal(0, 0.3)) ** 2 + (y - rng.normal(0, 0.3)) ** 2
    gain = 1 + rng.uniform(0, 0.16) * slope - rng.uniform(0, 0.14) * ring
    gain = gain + rng.uniform(0, 0.03) * cloud(rng, width, height, 90)
    drift = rng.normal(0, 0.014, 3).astype(np.float32)
    room = 250.0 / max(float(base.max()) * float(gain.max()), 1.0)
    return np.asarray((gain * min(1.0, room))[..., None] * (1 + slope[..., None] * drift), np.float32)


@dataclass(frozen=True, slots=True)
class Camera:
    """A cheap camera: lens blur px, sharpening, grey and colour noise (levels), JPEG quality."""

    blur_px: float
    sharpening: float
    grey_noise: float
    colour_noise: float
    quality: int

    def shoot(self, rng: np.random.Generator, pixels: Pixels) -> NDArray[np.uint8]:
        """The picture it takes of this light, through JPEG."""
        soft = cv2.GaussianBlur(pixels, (0, 0), self.blur_px)
        light = cv2.addWeighted(soft, 1 + self.sharpening, cv2.GaussianBlur(soft, (0, 0), 1.4), -self.sharpening, 0.0)
        shared = np.full((3, 3), self.grey_noise / math.sqrt(3)) + self.colour_noise * np.eye(3)
        light += cv2.transform(rng.standard_normal(pixels.shape, dtype=np.float32), shared)
        noisy = np.clip(light, 0, 255).astype(np.uint8)
        packed = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def draw_camera(rng: np.random.Generator) -> Camera:
    """A random camera, sharp enough that antennae can be read."""
    return Camera(
        blur_px=rng.uniform(0.35, 0.85),
        sharpening=rng.uniform(0, 0.7),
        grey_noise=rng.uniform(0.5, 3.0),
        colour_noise=rng.uniform(0.3, 2.0),
        quality=int(rng.integers(72, 96)),
    )
