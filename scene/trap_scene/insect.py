"""One mosquito, from a random look and posture to a sprite: whole, incomplete or out of focus."""

from dataclasses import dataclass, replace

import numpy as np

from trap_scene import anatomy
from trap_scene.anatomy import Joint, Look, unit
from trap_scene.brush import Floats, Part
from trap_scene.sprite import Sprite, defocus, extent, raster

_PALETTES = (  # BGR of thorax, abdomen, legs, hairs; banded or not
    ((52, 78, 112), (62, 88, 118), (48, 62, 84), (70, 92, 118), False),  # Culex brown
    ((34, 34, 40), (30, 30, 36), (26, 26, 32), (52, 54, 62), True),  # Aedes, black and white
    ((78, 86, 96), (84, 92, 102), (62, 68, 78), (88, 94, 104), False),  # grey
    ((92, 112, 136), (104, 126, 150), (80, 94, 112), (98, 116, 134), False),  # pale, rubbed
    ((34, 46, 66), (36, 48, 66), (32, 40, 54), (54, 64, 80), True),  # dark brown, faint bands
    ((46, 56, 92), (50, 52, 84), (44, 50, 72), (64, 74, 96), False),  # reddish
)
LONGEST_PX = 110.0
UNREADABLE = (0.085, 0.14)  # radius of a blur, in body lengths, that hides the antennae
_BODY_PX = (34.0, 62.0)
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
    legs: tuple[Joint, ...]  # far ones first


def draw_look(rng: np.random.Generator, male: bool) -> Look:
    """A random colouring and meal; males take no blood."""
    *colours, banded = _PALETTES[rng.integers(len(_PALETTES))]
    tone = np.exp(rng.normal(0, 0.16)) * np.exp(rng.normal(0, 0.035, 3))
    torso, belly, limb, hair = (np.array(c) * tone for c in colours)
    band = np.array([205, 212, 216]) * rng.uniform(0.75, 1.05) if banded and rng.random() < 0.85 else None
    meal = "none" if male else str(rng.choice(["none", "blood", "eggs"], p=[0.58, 0.26, 0.16]))
    wing = 0.5 * limb + rng.uniform(40, 110)
    return Look(male, torso, belly, limb, hair, wing, band, meal, rng.uniform(0.3, 0.62))


def draw_stance(rng: np.random.Generator) -> Stance:
    """A random posture seen from above (or below) or from the side."""
    return _from_the_side(rng) if rng.random() < 0.55 else _from_above(rng)


def _from_above(rng: np.random.Generator) -> Stance:
    nod = rng.normal(0, 0.18)
    bent = rng.normal(0, 0.12)
    tip = np.array([0.14, 0]) + 0.66 * unit(np.pi + bent)
    wings = tuple((np.array([0.22, s * 0.055]), s * _wing_angle(rng), -s) for s in rng.permutation([-1.0, 1.0]))
    hips = [(0.31, 0.04), (0.24, 0.05), (0.17, 0.04)]
    legs = tuple(
        _leg(rng, np.array([x, s * y]), s * heading, s, pair)
        for s in (-1.0, 1.0)
        for pair, ((x, y), heading) in enumerate(zip(hips, _headings(rng, (0.75, 1.5, 2.4)), strict=True))
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
    bent = side * (rng.normal(0.02, 0.25) if rng.random() < 0.6 else rng.uniform(0.3, 1.3))
    tip = np.array([0.15, 0]) + 0.66 * unit(np.pi + bent)
    raised = _wing_angle(rng) if rng.random() < 0.5 else rng.uniform(2.8, 3.2)
    near = (np.array([0.22, 0.07]) * flip, side * raised, side)
    far = (np.array([0.24, 0.07]) * flip, side * (raised - abs(rng.normal(0.1, 0.25))), side)
    heads = _headings(rng, (0.9, 1.55, 2.25) * 2)
    hips = [(x, heading, pair) for (x, pair), heading in zip([(0.31, 0), (0.24, 1), (0.18, 2)] * 2, heads, strict=True)]
    legs = tuple(_leg(rng, np.array([x, -0.07]) * flip, -side * heading, -side, pair) for x, heading, pair in hips)
    front, back = np.array([0.38, 0.0]), np.array([0.08, 0.025]) * flip
    thorax = (front, back, rng.uniform(0.1, 0.118))
    belly = (np.array([0.16, 0.0]), tip, -side * rng.normal(0.05, 0.2))
    return Stance(True, head, facing, thorax, belly, (far, near), legs)


def _headings(rng: np.random.Generator, alive: tuple[float, ...]) -> Floats:
    """Leg headings, radians from the body axis: apart as in life, or drawn together as they dry."""
    apart = np.array(alive) + rng.normal(0, 0.25, len(alive))
    if rng.random() < 0.5:
        return apart
    return rng.uniform(0.9, 2.3) + 0.25 * (apart - 1.5) + rng.normal(0, 0.15, len(alive))


def _wing_angle(rng: np.random.Generator) -> float:
    """Folded along the abdomen, held half open, or spread."""
    low, high = ((2.9, 3.12), (2.3, 2.9), (1.45, 2.1))[rng.choice(3, p=[0.5, 0.25, 0.25])]
    return float(rng.uniform(low, high))


def _leg(rng: np.random.Generator, hip: Floats, heading: float, side: float, pair: int) -> Joint:
    away = (-1.0, 1.0, 1.0)[pair] * side
    knee = away * rng.uniform(0.2, 1.5) * (1 if rng.random() < 0.75 else -1)
    bends = np.array([knee, -knee * rng.uniform(0.0, 0.9), rng.normal(0, 0.7)])
    return Joint(hip, heading, bends, pair)


def mosquito(rng: np.random.Generator, look: Look, stance: Stance, lost: str = "") -> list[Part]:
    """The parts in painting order. `lost` is "" or one of LOSSES; then antennae and palps are gone too."""
    limbs: list[Part] = [anatomy.leg(rng, look, joint) for joint in stance.legs]
    wings: list[Part] = [anatomy.wing(rng, look, *wing) for wing in stance.wings]
    if lost == "wings and legs":
        limbs, wings = limbs[: rng.integers(3)], []
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


def _face(rng: np.random.Generator, look: Look, stance: Stance, whole: bool) -> list[Part]:
    ahead, aside = unit(stance.facing), unit(stance.facing + np.pi / 2)
    mouth = stance.head + 0.045 * ahead
    parts: list[Part] = [anatomy.proboscis(rng, look, mouth, stance.facing)]
    spread = rng.uniform(0.18, 0.4) if stance.lateral else rng.uniform(0.42, 0.7)
    lift = rng.uniform(0.15, 0.5) * -np.sign(stance.facing) if stance.lateral else 0.0
    for side in (-1, 1) if whole else ():
        root = mouth + side * 0.02 * aside
        parts += anatomy.palp(rng, look, root, stance.facing + side * rng.uniform(0.08, 0.2))
        heading = stance.facing + lift + side * spread * rng.uniform(0.8, 1.2)
        parts += anatomy.antenna(rng, look, root, heading, rng.normal(0, 0.25))
    return [*parts, *anatomy.head(rng, look, stance.head, stance.facing, stance.lateral)]


def draw_whole(rng: np.random.Generator, male: bool, longest_px: float = LONGEST_PX) -> Sprite:
    """A whole, sharp mosquito whose antennae can be read."""
    return draw_poses(rng, male, 1, longest_px)[0]


def draw_poses(rng: np.random.Generator, male: bool, count: int, longest_px: float = LONGEST_PX) -> tuple[Sprite, ...]:
    """The same mosquito `count` times, its legs and head a little moved each time after the first."""
    look, stance = draw_look(rng, male), draw_stance(rng)
    first = mosquito(np.random.default_rng(seed := rng.integers(2**62)), look, stance)
    unit_px, turn = _body_px(rng, first, longest_px), rng.uniform(0, 2 * np.pi)
    poses = [raster(first, stance.head, unit_px, turn)]
    for _ in range(count - 1):
        moved = mosquito(np.random.default_rng(seed), look, _fidget(rng, stance))
        poses.append(raster(moved, stance.head, unit_px, turn))
    return tuple(poses)


def draw_incomplete(rng: np.random.Generator, longest_px: float = LONGEST_PX) -> Sprite:
    """A mosquito that lost a part, and with it what tells its sex."""
    look, stance = draw_look(rng, bool(rng.random() < 0.5)), draw_stance(rng)
    parts = mosquito(rng, look, stance, str(rng.choice(LOSSES)))
    return raster(parts, stance.head, _body_px(rng, parts, longest_px), rng.uniform(0, 2 * np.pi))


def draw_out_of_focus(rng: np.random.Generator, longest_px: float = LONGEST_PX) -> Sprite:
    """A whole mosquito, blurred by a disc too wide for its antennae to be read."""
    sharp = draw_whole(rng, bool(rng.random() < 0.5), longest_px)
    return defocus(sharp, rng.uniform(*UNREADABLE) * sharp.unit_px)


def _fidget(rng: np.random.Generator, stance: Stance) -> Stance:
    legs = tuple(
        replace(joint, heading=joint.heading + rng.normal(0, 0.1), bends=joint.bends + rng.normal(0, 0.1, 3))
        for joint in stance.legs
    )
    return replace(stance, facing=stance.facing + rng.normal(0, 0.05), legs=legs)


def _body_px(rng: np.random.Generator, parts: list[Part], longest_px: float) -> float:
    return float(min(rng.uniform(*_BODY_PX), longest_px / extent(parts)))
