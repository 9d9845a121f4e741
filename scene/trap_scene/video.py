"""A living board: a camera that never runs dry, for demonstrations and tests."""

from dataclasses import dataclass, replace

import numpy as np

from trap_scene import board as boards
from trap_scene import insect, litter
from trap_scene.picture import (
    FREQUENCIES,
    INCOMPLETE,
    MALE,
    OUT_OF_FOCUS,
    UNDEFINED,
    Labelled,
    Picture,
    draw_sprite,
    visible_box,
)
from trap_scene.sprite import Sprite, defocus, turned
from trap_scene.visits import REACH_PX, Place, Timetable, Visit

_POSES = 4
_HEIGHTS = 3  # steps of blur in flight
_DRIFT_PX = 16.0  # how far off its place an insect is at the end of its flight
_TWITCH = 0.12  # chance, in each 0.4 s, of a sitting insect to move
_CACHED_ACTORS = 64


@dataclass(frozen=True, slots=True)
class _Actor:
    """One visitor's sprites: `poses` on the board, `flight` from low to high (empty for what cannot fly)."""

    label: int
    poses: tuple[Sprite, ...]
    flight: tuple[Sprite, ...]
    shadow_px: float


class Video:
    """A board on which insects land, sit, walk a little and leave; the same index always gives the same picture.

    An insect on the wing is blurred, and its truth says "Out of Focus" until it sits. `walkers` is the share of those
    who walk right across the board.
    """

    def __init__(
        self,
        seed: int,
        width: int = 224,
        height: int = 224,
        fps: float = 10.0,
        arrivals_per_minute: float = 6.0,
        *,
        walkers: float = 0.0,
    ) -> None:
        self._seed, self._fps = seed, fps
        self._width, self._height = width, height
        rng = np.random.default_rng([seed, 0])
        self._board = boards.draw_board(rng, width, height)
        litter.scatter(rng, self._board)
        self._camera = boards.draw_camera(rng)
        self._timetable = Timetable(rng, width, height, arrivals_per_minute, walkers)
        self._actors: dict[int, _Actor] = {}

    def frame(self, index: int) -> Picture:
        """The picture and truth at `index` / fps seconds; `index` from 0 up, in any order."""
        time_s = index / self._fps
        board = replace(self._board, pixels=self._board.pixels.copy())
        truth, present = [], self.visits(time_s)
        if len(self._actors) > _CACHED_ACTORS:
            here = {visit.ordinal for visit in present}
            self._actors = {ordinal: actor for ordinal, actor in self._actors.items() if ordinal in here}
        for visit in present:
            labelled = self._show(board, visit, time_s)
            if labelled is not None:
                truth.append(labelled)
        return Picture(self._camera.shoot(np.random.default_rng([self._seed, 1, index]), board.pixels), tuple(truth))

    def visits(self, time_s: float) -> list[Visit]:
        """Who is on the board at a time, in order of arrival."""
        return self._timetable.present(time_s)

    def _show(self, board: boards.Board, visit: Visit, time_s: float) -> Labelled | None:
        actor = self._actor(visit.ordinal)
        place = visit.at(visit.start_s if actor.label == INCOMPLETE else time_s)  # a torn one lies where it fell
        flying = bool(actor.flight) and place.height > 0
        sprite = self._pose(actor, visit.ordinal, place, time_s)
        drift = _DRIFT_PX * place.height * flying
        x = place.x + drift * np.cos(visit.ordinal)
        y = place.y + drift * np.sin(visit.ordinal)
        shown = turned(sprite, place.turn, (x % 1.0, y % 1.0))
        left, top = int(x // 1 - shown.centre[0]), int(y // 1 - shown.centre[1])
        litter.cast_shadow(board, shown, left, top, actor.shadow_px + 4.0 * place.height * flying)
        litter.lay(board, shown, left, top)
        box = visible_box(shown, left, top, self._width, self._height)
        return None if box is None else Labelled(OUT_OF_FOCUS if flying else actor.label, box)

    def _pose(self, actor: _Actor, ordinal: int, place: Place, time_s: float) -> Sprite:
        if actor.flight and place.height > 0:
            return actor.flight[min(int(place.height * _HEIGHTS), _HEIGHTS - 1)]
        if len(actor.poses) == 1:
            return actor.poses[0]
        if place.walking:
            return actor.poses[int(time_s * 5) % _POSES]
        dice = np.random.default_rng([self._seed, 2, ordinal, int(time_s / 0.4)])
        return actor.poses[int(dice.integers(1, _POSES)) if dice.random() < _TWITCH else 0]

    def _actor(self, ordinal: int) -> _Actor:
        if ordinal not in self._actors:
            self._actors[ordinal] = _cast(np.random.default_rng([self._seed, 3, ordinal]))
        return self._actors[ordinal]


def _centred(poses: tuple[Sprite, ...]) -> tuple[Sprite, ...]:
    """The poses with their common centre moved to the middle of the first, so that turns keep to one place."""
    high, wide = poses[0].pixels.shape[:2]
    x, y = wide / 2 - poses[0].centre[0], high / 2 - poses[0].centre[1]
    return tuple(replace(pose, centre=(pose.centre[0] + x, pose.centre[1] + y)) for pose in poses)


def _cast(rng: np.random.Generator) -> _Actor:
    """Draw one visitor, of a class as likely as in the pictures."""
    label = int(rng.choice(len(FREQUENCIES), p=FREQUENCIES))
    shadow_px = rng.uniform(1.0, 2.6)
    if label in {INCOMPLETE, UNDEFINED}:
        return _Actor(label, _centred((draw_sprite(rng, label, 2 * REACH_PX),)), (), shadow_px)
    male = label == MALE or (label == OUT_OF_FOCUS and rng.random() < 0.5)
    poses = _centred(insect.draw_poses(rng, bool(male), _POSES, 2 * REACH_PX))
    low, high = (share * poses[0].unit_px for share in insect.UNREADABLE)
    flight = tuple(defocus(poses[0], radius) for radius in np.linspace(low, 1.3 * high, _HEIGHTS))
    if label == OUT_OF_FOCUS:
        radius = rng.uniform(low, high)
        poses = tuple(defocus(pose, radius) for pose in poses)
    return _Actor(label, poses, flight, shadow_px)
