"""The parts of a mosquito in body units: one unit is head to abdomen tip, x forward, y to the left."""

from dataclasses import dataclass

import cv2
import numpy as np

from trap_scene.brush import Blade, Floats, Hairs, Stroke, Texture, Tube

_SKIN = (64, 24)  # texture samples along and across a tube
_FLAGELLUM = 13  # antennal segments of both sexes

# Wing veins as (share of length, share of width from the hind margin -0.5 to the front 0.5).
_VEINS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((0.0, 0.25), (0.3, 0.40), (0.6, 0.42), (0.85, 0.33), (0.97, 0.10)),
    ((0.05, 0.20), (0.35, 0.28), (0.70, 0.33)),
    ((0.05, 0.18), (0.40, 0.20), (0.62, 0.18), (0.96, 0.18)),
    ((0.62, 0.18), (0.98, 0.02)),
    ((0.05, 0.10), (0.40, 0.02), (0.62, -0.02), (0.95, -0.10)),
    ((0.62, -0.02), (0.88, -0.24)),
    ((0.05, 0.05), (0.35, -0.14), (0.55, -0.20), (0.75, -0.36)),
    ((0.35, -0.14), (0.58, -0.44)),
    ((0.04, 0.0), (0.22, -0.22), (0.40, -0.46)),
)


@dataclass(frozen=True, slots=True)
class Look:
    """How one mosquito is coloured (BGR) and fed. `meal`: "none", "blood" or "eggs"; `band` None: legs not banded."""

    male: bool
    thorax: Floats
    abdomen: Floats
    leg: Floats
    hair: Floats
    wing: Floats
    band: Floats | None
    meal: str
    wing_opacity: float


@dataclass(frozen=True, slots=True)
class Joint:
    """How a leg is held: its hip, its heading from there, its turns (3,) at knee, ankle and along the tarsus.

    `pair` 0 front, 1 middle, 2 hind: hind legs are the longest.
    """

    hip: Floats
    heading: float
    bends: Floats
    pair: int


def unit(angle: float) -> Floats:
    """The direction of an angle in radians, (2,)."""
    return np.array([np.cos(angle), np.sin(angle)])


def grain(rng: np.random.Generator, strength: float, cells: int = 7) -> Texture:
    """A small field of blotches around 1, to be stretched over a surface."""
    return np.asarray(np.clip(1 + strength * rng.standard_normal((cells, cells)), 0.3, 1.7), np.float32)


def round_profile(radius: float) -> Floats:
    """Radii of an ellipsoid along its axis."""
    return np.asarray(radius * np.sqrt(1 - np.linspace(-1, 1, 33) ** 2))


def plain_skin(rng: np.random.Generator, colour: Floats, rough: float = 0.12) -> Texture:
    """One colour with blotches and fine scales, as a tube's skin."""
    height, width = _SKIN
    blotch = cv2.resize(grain(rng, rough), (width, height), interpolation=cv2.INTER_CUBIC)
    scales = 1 + rough * rng.standard_normal((height, width), dtype=np.float32)
    return np.asarray(colour * (blotch * scales)[..., None], np.float32)


def abdomen(rng: np.random.Generator, look: Look, start: Floats, end: Floats, droop: float) -> Tube:
    """The segmented abdomen: slender in males, swollen and dark red after blood, pale behind when gravid."""
    along = np.linspace(0, 1, _SKIN[0])
    across = np.abs(np.linspace(-1, 1, _SKIN[1]))
    skin = plain_skin(rng, look.abdomen)
    phase = along * 7.5 % 1.0
    pale = look.abdomen * 0.45 + 130 if look.band is None else look.band
    ring = ((phase < rng.uniform(0.14, 0.32)) * rng.uniform(0.15, 0.9))[:, None] * (across < rng.uniform(0.6, 1.1))
    skin += ring[..., None] * (pale - skin)
    skin *= (1 - 0.35 * (phase > 0.9))[:, None, None]
    if look.meal != "none":
        skin = _fed(rng, skin, look.meal)
    return Tube(start, end, _abdomen_radii(rng, look), skin.astype(np.float32), droop, 0.25)


def _fed(rng: np.random.Generator, skin: Texture, meal: str) -> Texture:
    colour = np.array([18, 14, 88] if meal == "blood" else [165, 190, 200]) * rng.uniform(0.7, 1.25)
    along = np.linspace(0, 1, len(skin))
    first, last = (0.12, rng.uniform(0.7, 0.9)) if meal == "blood" else (rng.uniform(0.2, 0.4), 0.92)
    full = np.clip(np.minimum(along - first, last - along) * 12, 0, 0.85)[:, None, None]
    return np.asarray(skin + full * (colour - skin), np.float32)


def _abdomen_radii(rng: np.random.Generator, look: Look) -> Floats:
    u = np.linspace(0, 1, 65)
    if look.male:
        radii = 0.036 + 0.012 * np.exp(-(((u - 0.9) / 0.09) ** 2))
    else:
        belly = {"none": rng.uniform(0.0, 0.016), "blood": rng.uniform(0.03, 0.055), "eggs": rng.uniform(0.025, 0.05)}
        radii = 0.048 + belly[look.meal] * np.sin(np.pi * np.clip(u * 1.05, 0, 1)) ** 0.8 - 0.022 * u**3
    notch = 1 - 0.06 * (np.abs(u * 7.5 % 1.0 - 0.95) < 0.09)
    close = np.minimum(1, np.sqrt(np.clip((1 - u) * 14, 0, None))) * np.minimum(1, 0.7 + u * 5)
    return np.asarray(radii * notch * close)


def thorax(rng: np.random.Generator, look: Look, start: Floats, end: Floats, radius: float) -> Tube:
    """The humped thorax with lengthwise scale lines on its back."""
    u = np.linspace(0, 1, 33)
    radii = radius * np.sqrt(np.clip(4 * u * (1 - u), 0, None)) ** 0.85 * (1.06 - 0.18 * u)
    skin = plain_skin(rng, look.thorax, 0.16)
    across = np.linspace(-1, 1, _SKIN[1])
    lines = np.exp(-(((np.abs(across) - rng.uniform(0.2, 0.55)) / 0.09) ** 2)) + np.exp(-((across / 0.07) ** 2)) * 0.6
    strength = rng.uniform(0.0, 0.45) if look.band is None else rng.uniform(0.3, 0.9)
    pale = look.thorax * 0.4 + 130 if look.band is None else look.band
    skin += (strength * lines)[None, :, None] * (pale - skin)
    return Tube(start, end, radii, skin.astype(np.float32), 0.0, 0.2)


def head(rng: np.random.Generator, look: Look, centre: Floats, facing: float, lateral: bool) -> tuple[Tube, ...]:
    """The round head with its compound eyes: both from above, one large from the side."""
    ahead, aside = unit(facing), unit(facing + np.pi / 2)
    skull = Tube(
        centre - 0.055 * ahead, centre + 0.055 * ahead, round_profile(0.052), plain_skin(rng, look.thorax * 0.8)
    )
    dark = plain_skin(rng, np.array([26.0, 24.0, 30.0]) * rng.uniform(0.7, 1.6), 0.05)
    spots = [0.006] if lateral else [-0.036, 0.036]
    size = 0.044 if lateral else 0.03
    eyes = [centre + 0.012 * ahead + y * aside for y in spots]
    return (
        skull,
        *(Tube(eye - size * ahead, eye + size * ahead, round_profile(size * 0.85), dark, 0.0, 0.9) for eye in eyes),
    )


def proboscis(rng: np.random.Generator, look: Look, base: Floats, facing: float) -> Stroke:
    """The straight, dark mouthpart, a little longer than the thorax."""
    bow = rng.uniform(-0.08, 0.08)
    t = np.linspace(0, 1, 6)
    path = base + 0.36 * (t[:, None] * unit(facing) + (bow * t**2)[:, None] * unit(facing + np.pi / 2))
    return Stroke(path, np.linspace(0.024, 0.017, 6), np.repeat(look.leg[None] * 0.75, 6, axis=0))


def chain(angles: Floats, steps: Floats) -> Floats:
    """Points from the origin on, each a step further along its angle: (N,), (N,) to (N+1,2)."""
    moves = steps[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])


def palp(rng: np.random.Generator, look: Look, base: Floats, facing: float) -> tuple[Stroke, Hairs]:
    """A palp: as long as the proboscis, thick and tufted at the tip in males; a stub in females."""
    length = rng.uniform(0.34, 0.40) if look.male else rng.uniform(0.06, 0.09)
    t = np.linspace(0, 1, 8)
    curl = rng.uniform(0.05, 0.3) * np.sign(np.sin(facing) or 1) if look.male else 0.0
    path = base + length * (t[:, None] * unit(facing) + (curl * t**3)[:, None] * unit(facing + np.pi / 2))
    width = np.where(t > 0.6, 0.026, 0.017) if look.male else np.full(8, 0.02)
    colour = np.repeat(look.leg[None], 8, axis=0)
    if look.band is not None:
        colour[-1 if look.male else -3 :] = look.band
    tuft = 26 if look.male else 4
    roots = path[rng.integers(4, 8, tuft)]
    lean = facing + rng.choice([-1, 1], tuft) * rng.uniform(0.4, 1.0, tuft)
    tips = roots + rng.uniform(0.02, 0.05, tuft)[:, None] * np.stack([np.cos(lean), np.sin(lean)], 1)
    return Stroke(path, width, colour), Hairs(roots, tips, look.hair)


def antenna(rng: np.random.Generator, look: Look, base: Floats, facing: float, curve: float) -> tuple[Stroke, Hairs]:
    """An antenna of 13 segments with a whorl of hairs on each: a dense plume in males, a few short hairs in females."""
    t = np.linspace(0, 1, _FLAGELLUM + 1)
    angle = facing + curve * t
    path = base + chain(angle[:-1], np.full(_FLAGELLUM, rng.uniform(0.29, 0.34) / _FLAGELLUM))
    width = np.full(_FLAGELLUM + 1, 0.013 if look.male else 0.01)
    width[:2] = 0.04 if look.male else 0.028  # the pedicel that holds Johnston's organ
    stem = Stroke(path, width, np.repeat(look.leg[None] * 0.7, _FLAGELLUM + 1, axis=0))
    per_whorl, reach, opacity = (12, 0.155, 0.55) if look.male else (3, 0.042, 0.4)
    node = np.repeat(np.arange(1, _FLAGELLUM - 1 if look.male else _FLAGELLUM + 1), per_whorl)
    side = rng.choice([-1.0, 1.0], len(node))
    lean = angle[node] + side * rng.uniform(0.5, 1.2, len(node)) * (1.1 - 0.5 * t[node])
    size = reach * rng.uniform(0.6, 1.0, len(node)) * (1.1 - 0.75 * t[node])
    tips = path[node] + size[:, None] * np.stack([np.cos(lean), np.sin(lean)], 1)
    return stem, Hairs(path[node], tips, look.hair, opacity)


def leg(rng: np.random.Generator, look: Look, joint: Joint) -> Stroke:
    """A jointed leg: femur, tibia and five tarsal segments."""
    grown = 1 + np.array([0.0, 0.06, 0.22])[joint.pair]
    lengths = np.array([0.34, 0.36, 0.40]) * grown * rng.uniform(0.65, 1.0, 3)
    knee, ankle, tarsus = joint.bends
    turns = np.concatenate([[0, 0, knee, 0, ankle], np.full(6, tarsus / 6)])
    steps = np.concatenate([np.repeat(lengths[:2] / 2, 2), np.full(7, lengths[2] / 7)])
    path = joint.hip + chain(joint.heading + np.cumsum(turns), steps)
    width = np.array([0.019, 0.024, 0.018, 0.016, 0.015, 0.013, 0.012, 0.011, 0.01, 0.009, 0.008, 0.007])
    colour = np.repeat(look.leg[None], 12, axis=0) * np.linspace(1.0, 0.85, 12)[:, None]
    if look.band is not None:
        colour[[2, 5, 7, 9]] = look.band
    return Stroke(path, width, colour)


def wing(
    rng: np.random.Generator, look: Look, hinge: Floats, angle: float, front: float, *, narrow: float = 1.0
) -> Blade:
    """A narrow wing with scaled veins and a fringe; `front` +1 or -1 says on which side of its axis the costa lies."""
    size = np.array([0.74, front * 0.19 * narrow]) * rng.uniform(0.92, 1.06)
    turn = np.array([unit(angle), unit(angle + np.pi / 2)])
    x = np.linspace(0, 1, 18)
    hind = -0.52 * np.sin(np.pi * x**0.75) ** 0.75 - 0.04 * (1 - x)
    fore = 0.26 * (1 - x) ** 0.3 + 0.3 * np.sin(np.pi * x**1.3) ** 0.8
    outline = np.concatenate([np.stack([x, fore], 1), np.stack([x, hind], 1)[::-1]])
    veins = tuple(_vein(look, hinge + (np.array(v) * size) @ turn, i == 0) for i, v in enumerate(_VEINS))
    edge = np.repeat(np.stack([x, hind], 1)[4:], 4, axis=0)
    roots = edge + rng.uniform(-0.02, 0.02, edge.shape)
    tips = roots + np.stack([rng.uniform(0.0, 0.05, len(edge)), rng.uniform(-0.10, -0.02, len(edge))], 1)
    fringe = Hairs(hinge + (roots * size) @ turn, hinge + (tips * size) @ turn, look.hair * 0.8)
    return Blade(hinge + (outline * size) @ turn, look.wing, look.wing_opacity, grain(rng, 0.14), veins, fringe)


def _vein(look: Look, path: Floats, costa: bool) -> Stroke:
    width = np.full(len(path), 0.016 if costa else 0.008)
    return Stroke(path, width, np.repeat(look.leg[None] * 0.9, len(path), axis=0))


def bristles(rng: np.random.Generator, look: Look, body: Tube, count: int) -> Hairs:
    """Short hairs standing off the sides of a body part."""
    outline = body.reach()
    half = len(outline) // 2
    side = rng.integers(0, 2, count)
    pick = rng.integers(2, half - 2, count) + side * half
    spine = 0.5 * (outline[:half] + outline[half:])
    away = outline[pick] - spine[pick % half]
    away /= np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-6)[:, None]
    back = (body.end - body.start) / np.hypot(*(body.end - body.start))
    tips = outline[pick] + rng.uniform(0.008, 0.026, count)[:, None] * (away + back * rng.uniform(0, 1, (count, 1)))
    return Hairs(outline[pick] - 0.01 * away, tips, look.hair)
