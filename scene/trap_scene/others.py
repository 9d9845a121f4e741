"""The class Undefined: things on a board that resemble a mosquito and are none, each with its own anatomy."""

from collections.abc import Callable

import numpy as np

from trap_scene import anatomy, insect
from trap_scene.anatomy import Joint, grain, plain_skin, round_profile, unit
from trap_scene.brush import Blade, Floats, Hairs, Part, Stroke, Texture, Tube
from trap_scene.insect import LONGEST_PX
from trap_scene.sprite import Sprite, extent, raster

_SPAN_PX = (34.0, 92.0)


def _tone(rng: np.random.Generator, *bgr: float) -> Floats:
    return np.asarray(np.array(bgr) * np.exp(rng.normal(0, 0.22)) * np.exp(rng.normal(0, 0.05, 3)))


def _ball(at: tuple[float, float], half: tuple[float, float], skin: Texture, gloss: float) -> Tube:
    """An ellipsoid along the body; `half` are its half axes, along and across."""
    centre, reach = np.array(at), np.array([half[0], 0.0])
    return Tube(centre + reach, centre - reach, round_profile(half[1]), skin, 0.0, gloss)


def _fur(rng: np.random.Generator, body: Tube, count: int) -> Hairs:
    return anatomy.bristles(rng, insect.draw_look(rng, male=True), body, count)


def _legs(rng: np.random.Generator, hips: tuple[float, ...], length: float, width: float, colour: Floats) -> list[Part]:
    """Three pairs of short bent legs from hips along the body axis."""
    limbs: list[Part] = []
    for hip, heading in zip(hips, (0.7, 1.5, 2.3), strict=True):
        for side in (-1.0, 1.0):
            first = side * (heading + rng.normal(0, 0.25))
            angles = first + np.array([0.0, 0.0, 0.7, 0.9]) * rng.choice([-1, 1]) * rng.uniform(0.4, 1.2)
            path = np.array([hip, side * 0.05]) + anatomy.chain(angles, np.full(4, length * rng.uniform(0.6, 1.1) / 4))
            limbs.append(_thread(path, np.linspace(width, width * 0.4, 5), colour))
    return limbs


def _thread(path: Floats, width: Floats, colour: Floats) -> Stroke:
    return Stroke(path, width, np.repeat(colour[None], len(path), axis=0))


def _membrane(
    hinge: tuple[float, float],
    angle: float,
    size: tuple[float, float],
    colour: Floats,
    *,
    opacity: float,
    mottle: Texture,
) -> Blade:
    """A drop-shaped wing, `size` long and wide, with a few straight veins."""
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    shape = np.stack([0.5 - 0.5 * np.cos(t), 0.5 * np.sin(t) * (0.5 - 0.5 * np.cos(t)) ** 0.45], 1)
    turn = np.array(size)[:, None] * np.array([unit(angle), unit(angle + np.pi / 2)])
    ends = [(0.92, 0.3), (0.99, 0.1), (0.97, -0.14), (0.8, -0.34)]
    paths = [np.array(hinge) + np.array([(0, 0), (0.5 * x, 0.7 * y), (x, y)]) @ turn for x, y in ends]
    veins = tuple(_thread(path, np.full(3, 0.012), colour * 0.6) for path in paths)
    return Blade(np.array(hinge) + shape @ turn, colour, opacity, mottle, veins)


def _feeler(rng: np.random.Generator, root: tuple[float, float], angle: float, colour: Floats) -> Stroke:
    t = np.linspace(0, 1, 7)
    heading = angle + rng.normal(0, 0.4) * t
    path = np.array(root) + 0.32 * np.stack([np.cos(heading), np.sin(heading)], 1) * t[:, None]
    return _thread(path, np.where(t > 0.8, 0.032, 0.02), colour)


def _fly(rng: np.random.Generator) -> list[Part]:
    """A small stout fly: big red eyes, short bristly legs, two broad clear wings."""
    body, glass = _tone(rng, 45, 62, 84), _tone(rng, 120, 126, 130)
    spread, veil = rng.uniform(2.2, 2.95), grain(rng, 0.12)
    wings = [_membrane((0.16, s * 0.1), s * spread, (0.72, 0.3), glass, opacity=0.3, mottle=veil) for s in (-1, 1)]
    belly = _ball((-0.2, 0), (0.28, 0.17), plain_skin(rng, body * 0.8), 0.4)
    chest = _ball((0.16, 0), (0.19, 0.155), plain_skin(rng, body), 0.3)
    eye = plain_skin(rng, _tone(rng, 28, 30, 78))
    eyes = [_ball((0.4, s * 0.09), (0.085, 0.06), eye, 0.4) for s in (-1, 1)]
    face = [_ball((0.39, 0), (0.1, 0.13), plain_skin(rng, body), 0.2), *eyes]
    hairs = [_fur(rng, ball, 24) for ball in (belly, chest)]
    return [*_legs(rng, (0.24, 0.16, 0.06), 0.62, 0.035, body * 0.6), belly, chest, *hairs, *wings, *face]


def _moth(rng: np.random.Generator) -> list[Part]:
    """A moth fly or small moth: broad, opaque, mottled, hairy wings held like a roof."""
    scales = _tone(rng, 92, 106, 122)
    angle, size = rng.uniform(2.25, 2.75), (0.85, rng.uniform(0.42, 0.6))
    wings: list[Part] = []
    for s in (-1, 1):
        blade = _membrane((0.2, s * 0.03), s * angle, size, scales, opacity=0.93, mottle=grain(rng, 0.12, 9))
        wings += [_rim_hairs(rng, blade, scales * 0.85), blade]
    chest = _ball((0.27, 0), (0.12, 0.12), plain_skin(rng, scales * 1.1), 0.0)
    belly = _ball((-0.1, 0), (0.36, 0.1), plain_skin(rng, scales * 0.8), 0.0)
    skull = _ball((0.41, 0), (0.07, 0.08), plain_skin(rng, scales * 0.7), 0.1)
    feelers = [_feeler(rng, (0.42, s * 0.04), s * rng.uniform(0.5, 1.0), scales * 0.6) for s in (-1, 1)]
    legs = _legs(rng, (0.3, 0.24, 0.16), 0.5, 0.03, scales * 0.6)
    return [*legs, *feelers, belly, chest, *wings, _fur(rng, chest, 70), skull]


def _rim_hairs(rng: np.random.Generator, blade: Blade, colour: Floats) -> Hairs:
    roots = np.repeat(blade.outline[8:32], 5, axis=0) + rng.normal(0, 0.012, (120, 2))
    away = roots - blade.outline[0]
    tips = roots + rng.uniform(0.03, 0.09, (120, 1)) * away / np.hypot(away[:, 0], away[:, 1])[:, None]
    return Hairs(roots, tips, colour)


def _beetle(rng: np.random.Generator) -> list[Part]:
    """A small beetle: glossy oval wing cases with a seam, a neck shield, short clubbed feelers."""
    shell = _tone(rng, 26, 34, 52) if rng.random() < 0.6 else _tone(rng, 34, 62, 112)
    girth = rng.uniform(0.18, 0.28)
    grooved = plain_skin(rng, shell)
    grooved[:, 3:21:3] *= 0.8
    grooved[:, 11:13] *= 0.35
    cases = _ball((-0.12, 0), (0.38, girth), grooved, 1.0)
    shield = _ball((0.26, 0), (0.13, girth * 0.8), plain_skin(rng, shell * 0.8), 0.9)
    skull = _ball((0.4, 0), (0.09, girth * 0.5), plain_skin(rng, shell * 0.6), 0.7)
    feelers = [_feeler(rng, (0.45, s * 0.05), s * rng.uniform(0.3, 1.0), shell * 0.7) for s in (-1, 1)]
    return [*_legs(rng, (0.22, 0.05, -0.12), 0.55, 0.04, shell * 0.7), *feelers, skull, cases, shield]


def _crane_fly(rng: np.random.Generator) -> list[Part]:
    """A crane fly fallen into a ball: a thin body in a tangle of very long legs."""
    colour = _tone(rng, 60, 78, 98)
    limbs: list[Part] = []
    for _ in range(rng.integers(9, 15)):
        kinks = rng.normal(0, [0.1, 0.1, 1.2, 0.1, 0.1, 1.1, 0.2, 0.3, 0.3])
        steps = np.full(9, rng.uniform(0.08, 0.13))
        path = rng.normal(0, 0.12, 2) + anatomy.chain(rng.uniform(0, 2 * np.pi) + np.cumsum(kinks), steps)
        limbs.append(_thread(path, np.linspace(0.017, 0.007, 10), colour * rng.uniform(0.6, 1.0)))
    belly = _ball((-0.12, 0), (0.3, 0.045), plain_skin(rng, colour), 0.1)
    chest = _ball((0.2, 0), (0.1, 0.07), plain_skin(rng, colour * 0.8), 0.2)
    glass, veil = _tone(rng, 110, 118, 124), grain(rng, 0.15)
    wing = _membrane((0.16, 0.04), rng.uniform(1.8, 4.4), (0.7, 0.17), glass, opacity=0.3, mottle=veil)
    return [*limbs[:5], wing, belly, chest, *limbs[5:]]


def _wing_clump(rng: np.random.Generator) -> list[Part]:
    """Wings torn off and stuck together, with loose scales and a piece of leg."""
    look = insect.draw_look(rng, male=True)
    angle = rng.uniform(0, 2 * np.pi)
    wings: list[Part] = []
    for _ in range(rng.integers(2, 5)):
        angle += rng.uniform(0.4, 1.9)
        front, narrow = float(rng.choice([-1, 1])), rng.uniform(0.8, 1.3)
        wings.append(anatomy.wing(rng, look, rng.normal(0, 0.07, 2), angle, front, narrow=narrow))
    roots = rng.normal(0, 0.2, (30, 2))
    dust = Hairs(roots, roots + rng.normal(0, 0.025, (30, 2)), look.hair)
    joint = Joint(rng.normal(0, 0.1, 2), rng.uniform(0, 2 * np.pi), rng.normal(0, 0.6, 3), 1)
    return [dust, *wings, anatomy.leg(rng, look, joint)]


KINDS: tuple[Callable[[np.random.Generator], list[Part]], ...] = (_fly, _moth, _beetle, _crane_fly, _wing_clump)


def draw_other(rng: np.random.Generator, longest_px: float = LONGEST_PX) -> Sprite:
    """One thing of the class Undefined, of a random kind."""
    parts = KINDS[rng.integers(len(KINDS))](rng)
    return raster(
        parts, np.zeros(2), min(rng.uniform(*_SPAN_PX), longest_px) / extent(parts), rng.uniform(0, 2 * np.pi)
    )
