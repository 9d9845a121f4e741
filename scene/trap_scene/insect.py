"""One mosquito, from a random look and posture to a sprite: whole, incomplete or out of focus."""

from dataclasses import dataclass

import numpy as np

from trap_scene import anatomy
from trap_scene.anatomy import Look, unit
from trap_scene.brush import Floats, Part
from trap_scene.sprite import Sprite, defocus, extent, raster

_PALETTES = (  # BGR of thorax, abdomen, legs, hairs; banded or not
    ((52, 78, 112), (62, 88, 118), (48, 62, 84), (70, 92, 118), False),  # Culex brown
    ((34, 34, 40), (30, 30, 36), (26, 26, 32), (52, 54, 62), True),  # Aedes, black and white
    ((78, 86, 96), (84, 92, 102), (62, 68, 78), (88, 94, 104), False),  # grey
    ((74, 108, 142), (92, 126, 158), (74, 94, 118), (96, 120, 144), False),  # pale, rubbed
    ((34, 46, 66), (36, 48, 66), (32, 40, 54), (54, 64, 80), True),  # dark brown, faint bands
    ((46, 56, 92), (50, 52, 84), (44, 50, 72), (64, 74, 96), False),  # reddish
)
WHOLE_SPAN_PX = (52.0, 110.0)
_BODY_PX = (32.0, 62.0)
LOSSES = ("head", "abdomen", "wings and legs")  # what an Incomplete can lack; the fourth way is the picture's border


@dataclass(frozen=True, slots=True)
class Stance:
    """Where the parts meet, in body units, and how they point."""

    lateral: bool
    head: Floats
    facing: float
    thorax: tuple[Floats, Floats, float]  # front, back, radius
    abdomen: tuple[Floats, Floats, float]  # base, tip, droop
    wings: tuple[tuple[Floats, float, float], ...]  # hinge, angle, side of the costa; far ones first
    legs: tuple[tuple[Floats, float, Floats, int], ...]  # hip, heading, bends, pair; far ones first


def draw_look(rng: np.random.Generator, male: bool) -> Look:
    """A random colouring and meal; males take no blood."""
    *colours, banded = _PALETTES[rng.integers(len(_PALETTES))]
    tone = np.exp(rng.normal(0, 0.16)) * np.exp(rng.normal(0, 0.05, 3))
    torso, belly, limb, hair = (np.array(c) * tone for c in colours)
    band = np.array([205, 212, 216]) * rng.uniform(0.75, 1.05) if banded and rng.random() < 0.85 else None
    meal = "none" if male else str(rng.choice(["none", "blood", "eggs"], p=[0.58, 0.26, 0.16]))
    wing = 0.5 * limb + rng.uniform(40, 85)
    return Look(male, torso, belly, limb, hair, wing, band, meal, rng.uniform(0.3, 0.62))


def draw_stance(rng: np.random.Generator) -> Stance:
    """A random posture seen from above (or below) or from the side."""
    return _from_the_side(rng) if rng.random() < 0.55 else _from_above(rng)


def _from_above(rng: np.random.Generator) -> Stance:
    nod = rng.normal(0, 0.18)
    bent = rng.normal(0, 0.12)
    tip = np.array([0.14, 0]) + 0.66 * unit(np.pi + bent)
    wings = tuple((np.array([0.22, s * 0.055]), s * _wing_angle(rng), -s) for s in rng.permutation([-1.0, 1.0]))
    hips = [(0.31, 0.04, 0.75), (0.24, 0.05, 1.5), (0.17, 0.04, 2.4)]
    legs = tuple(
        _leg(rng, np.array([x, s * y]), s * (a + rng.normal(0, 0.28)), s, pair)
        for pair, (x, y, a) in enumerate(hips)
        for s in (-1.0, 1.0)
    )
    return Stance(
        False,
        np.array([0.36, 0]) + 0.065 * unit(nod),
        nod,
        (np.array([0.37, 0]), np.array([0.09, 0]), rng.uniform(0.078, 0.092)),
        (np.array([0.15, 0]), tip, rng.normal(0, 0.1)),
        wings,
        legs,
    )


def _from_the_side(rng: np.random.Generator) -> Stance:
    side = float(rng.choice([-1.0, 1.0]))  # +1: the back is at the left hand
    flip = np.array([1.0, side])
    facing = -side * rng.uniform(0.15, 1.0)
    head = np.array([0.37, -0.04 * side]) + 0.06 * unit(facing * 0.6)
    bent = side * rng.normal(0.02, 0.3)
    tip = np.array([0.15, 0]) + 0.66 * unit(np.pi + bent)
    raised = _wing_angle(rng) if rng.random() < 0.5 else rng.uniform(2.8, 3.2)
    near = (np.array([0.22, 0.07]) * flip, side * raised, side)
    far = (np.array([0.24, 0.07]) * flip, side * (raised - abs(rng.normal(0.1, 0.25))), side)
    bundle = rng.normal(0, 0.35)
    hips = [(0.31, 0.9), (0.24, 1.55), (0.18, 2.25)]
    legs = tuple(
        _leg(rng, np.array([x, -0.07]) * flip, -side * (a + bundle + rng.normal(0, 0.25)), -side, pair)
        for _far in (True, False)
        for pair, (x, a) in enumerate(hips)
    )
    front, back = np.array([0.38, 0.0]), np.array([0.08, 0.025]) * flip
    return Stance(
        True, head, facing, (front, back, rng.uniform(0.1, 0.118)), (np.array([0.16, 0.0]), tip, side * rng.normal(0.05, 0.16)), (far, near), legs
    )


def _wing_angle(rng: np.random.Generator) -> float:
    """Folded along the abdomen, held half open, or spread."""
    low, high = ((2.9, 3.12), (2.3, 2.9), (1.45, 2.1))[rng.choice(3, p=[0.5, 0.25, 0.25])]
    return float(rng.uniform(low, high))


def _leg(rng: np.random.Generator, hip: Floats, heading: float, side: float, pair: int) -> tuple[Floats, float, Floats, int]:
    away = (-1.0, 1.0, 1.0)[pair] * side
    knee = away * rng.uniform(0.2, 1.5) * (1 if rng.random() < 0.75 else -1)
    bends = np.array([knee, -knee * rng.uniform(0.0, 0.9), rng.normal(0, 0.7)])
    return hip, heading, bends, pair


def mosquito(rng: np.random.Generator, look: Look, stance: Stance, lost: str = "") -> list[Part]:
    """The parts in painting order. `lost` is "" or one of LOSSES; then antennae and palps are gone too."""
    limbs = [] if lost == "wings and legs" else _limbs(rng, look, stance)
    wings: list[Part] = []
    if lost != "wings and legs":
        wings = [anatomy.wing(rng, look, hinge, angle, front) for hinge, angle, front in stance.wings]
    base, tip, droop = stance.abdomen
    if lost == "abdomen":
        tip = base + rng.uniform(0.12, 0.3) * (tip - base)
    belly = anatomy.abdomen(rng, look, base, tip, droop)
    back = anatomy.thorax(rng, look, *stance.thorax)
    front = [] if lost == "head" else _face(rng, look, stance, whole=not lost)
    trunk: list[Part] = [belly, anatomy.bristles(rng, look, belly, 40)]
    chest: list[Part] = [back, anatomy.bristles(rng, look, back, 30)]
    if stance.lateral:
        return [*limbs[:3], *wings[:1], *trunk, *wings[1:], *chest, *front, *limbs[3:]]
    return [*limbs, *trunk, *wings, *chest, *front]


def _limbs(rng: np.random.Generator, look: Look, stance: Stance) -> list[Part]:
    limbs: list[Part] = [anatomy.leg(rng, look, *joint) for joint in stance.legs]
    return limbs


def _face(rng: np.random.Generator, look: Look, stance: Stance, whole: bool) -> list[Part]:
    ahead, aside = unit(stance.facing), unit(stance.facing + np.pi / 2)
    mouth = stance.head + 0.045 * ahead
    parts: list[Part] = [anatomy.proboscis(rng, look, mouth, stance.facing)]
    spread = rng.uniform(0.12, 0.3) if stance.lateral else rng.uniform(0.35, 0.6)
    lift = rng.uniform(0.15, 0.5) * -np.sign(stance.facing) if stance.lateral else 0.0
    for side in (-1, 1) if whole else ():
        root = mouth + side * 0.02 * aside
        parts += anatomy.palp(rng, look, root, stance.facing + side * rng.uniform(0.08, 0.2))
        heading = stance.facing + lift + side * spread * rng.uniform(0.8, 1.2)
        parts += anatomy.antenna(rng, look, root, heading, rng.normal(0, 0.25))
    return [*parts, *anatomy.head(rng, look, stance.head, stance.facing, stance.lateral)]


def draw_whole(rng: np.random.Generator, male: bool) -> Sprite:
    """A whole, sharp mosquito whose antennae can be read."""
    look, stance = draw_look(rng, male), draw_stance(rng)
    return _sized(rng, mosquito(rng, look, stance), stance)


def draw_incomplete(rng: np.random.Generator) -> Sprite:
    """A mosquito that lost a part, and with it what tells its sex."""
    look, stance = draw_look(rng, bool(rng.random() < 0.5)), draw_stance(rng)
    return _sized(rng, mosquito(rng, look, stance, str(rng.choice(LOSSES))), stance)


def draw_out_of_focus(rng: np.random.Generator) -> Sprite:
    """A whole mosquito, blurred by a disc too wide for its antennae to be read."""
    sharp = draw_whole(rng, bool(rng.random() < 0.5))
    return defocus(sharp, rng.uniform(2.6, 5.0))


def _sized(rng: np.random.Generator, parts: list[Part], stance: Stance) -> Sprite:
    unit_px = min(rng.uniform(*_BODY_PX), WHOLE_SPAN_PX[1] / extent(parts))
    return raster(parts, stance.head, unit_px, rng.uniform(0, 2 * np.pi))
