"""Films whose cameras move in other ways than a walk: seeded, in scenes of rectangles, metres, y down.

How fast a camera goes says little of how large its scene is: a dolly creeps through a hall, a drone rushes between
houses, a hand shakes more than it goes, a zoom brings near what is far. So these are what a rule that reckons the size
of a scene from its cameras may stumble over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ....memory.cameras.angles import headings, rotation
from ....memory.cameras.camera import intrinsics_from_fov, pose
from .floor_plans import FloatArray, FloorPlan, corridor_loop, joined_rooms, open_hall
from .rectangles import Rectangles, joined, level, upright
from .walks import walk

ASPECT = 640 / 352
EYES, CEILING, FLOOR = 1.6, 2.8, 3.0
"""Metres above the floor, of the camera and the ceiling; from one floor to the next."""


@dataclass(frozen=True, eq=False)
class Film:
    """Cameras (F, 4, 4) with lenses (F, 4) in a scene."""

    scene: Rectangles
    poses: FloatArray
    lenses: FloatArray


def slow_dolly(frames: int, random: np.random.Generator) -> Film:
    """A camera that creeps, 8 to 16 cm a second: in one take, or in set-ups that are come back to."""
    plan, way = _walked(random, (open_hall, joined_rooms), 1200)
    speed = random.uniform(0.08, 0.16)
    if random.random() < 0.5:
        at = random.uniform(0, 1100 - speed * frames) + speed * np.arange(frames)
    else:
        spots, takes, done = random.uniform(100, 1100, 5), [], 0
        while done < frames:
            length = int(random.integers(150, 400))
            begin = random.choice(spots) + random.normal(0, 2)
            takes.append(begin + random.choice([-1, 1]) * speed * np.arange(length))
            done += length
        at = np.concatenate(takes)[:frames]
    pan = _wander(frames, 90, 12, random)
    return Film(_inside(plan), _level(*_at(way, at), pan), _lenses(random.uniform(50, 75), frames))


def handheld(frames: int, random: np.random.Generator) -> Film:
    """Someone stands, shakes, and takes a few steps now and then."""
    plan, way = _walked(random, (joined_rooms, corridor_loop), 1500)
    going = gaussian_filter1d((gaussian_filter1d(random.normal(size=frames), 30) > 0.03).astype(float), 6)
    places, yaw = _at(way, random.uniform(0, 200) + np.cumsum(0.55 * going))
    shaken = places + np.stack([_wander(frames, 3, 0.025, random) for _ in range(2)], axis=1)
    turned = np.degrees(yaw) + _wander(frames, 30, 22, random) + _wander(frames, 4, 1.5, random)
    up, roll = _wander(frames, 4, 1.5, random) + _wander(frames, 60, 5, random), _wander(frames, 5, 1.5, random)
    height = EYES + _wander(frames, 4, 0.02, random)
    return Film(_inside(plan), _poses(shaken, height, turned, up, roll), _lenses(random.uniform(55, 80), frames))


def mixed_speeds(frames: int, random: np.random.Generator) -> Film:
    """A walk that creeps, strolls and runs by turns, from a tenth to five times a walk."""
    plan, way = _walked(random, (open_hall, joined_rooms, corridor_loop), 3500)
    speeds: list[FloatArray] = []
    while sum(map(len, speeds)) < frames:
        speeds.append(np.full(int(random.integers(60, 250)), random.choice([0.1, 0.3, 1.0, 2.5, 5.0])))
    at = np.cumsum(gaussian_filter1d(np.concatenate(speeds)[:frames], 6))
    return Film(_inside(plan), _level(*_at(way, np.abs((at + 3400) % 6800 - 3400))), _lenses(60.0, frames))


def zooms(frames: int, random: np.random.Generator) -> Film:
    """A walk whose lens goes between 90 and 20 degrees and back, again and again."""
    plan, way = _walked(random, (open_hall, joined_rooms, corridor_loop), frames)
    knots = np.arange(0, frames + 120, 120)
    fov = np.exp(np.interp(np.arange(frames), knots, random.uniform(np.log(20), np.log(90), len(knots))))
    return Film(_inside(plan), _level(*way), _lenses(gaussian_filter1d(fov, 8), frames))


def wide_to_tele(frames: int, random: np.random.Generator) -> Film:
    """All is filmed with a wide lens, and what is coming with a long one."""
    plan, way = _walked(random, (open_hall, joined_rooms), frames)
    fov = np.where(np.arange(frames) < frames - 81, 80.0, random.uniform(18, 30))
    return Film(_inside(plan), _level(*way), _lenses(fov, frames))


def fast_drone(frames: int, random: np.random.Generator) -> Film:
    """A drone at 6 to 20 metres a second: between houses, or in a hall."""
    if random.random() < 0.5:
        plan, way = _walked(random, (open_hall,), 3500)
        at = random.uniform(6, 12) * np.arange(frames)
        places, yaw = _at(way, np.abs((at + 3400) % 6800 - 3400))
        yaw = gaussian_filter1d(np.unwrap(yaw), 2)
        height, up = 1.8 + _wander(frames, 40, 0.4, random), _wander(frames, 30, 4, random)
        return Film(_inside(plan, 4.5), _poses(places, height, np.degrees(yaw), up), _lenses(75.0, frames))
    scene, places = _streets(frames, random.uniform(0.6, 1.25), random)
    height = np.clip(7 + _wander(frames, 60, 4, random), 2, 20)
    yaw = _ahead(places, 5) + _wander(frames, 40, 15, random)
    return Film(scene, _poses(places, height, yaw, -12 + _wander(frames, 40, 8, random)), _lenses(75.0, frames))


def crane(frames: int, random: np.random.Generator) -> Film:
    """A boom at a crossing between houses that goes up and down and looks about."""
    scene, _ = _streets(10, 0.1, random)
    places = np.stack([3 * PITCH + _wander(frames, 120, 2.5, random) for _ in range(2)], axis=1)
    height = np.clip(5 + _wander(frames, 70, 3.5, random), 0.6, 14)
    yaw = np.degrees(random.uniform(-np.pi, np.pi)) + _wander(frames, 150, 70, random)
    return Film(scene, _poses(places, height, yaw, -2.5 * height + 4), _lenses(random.uniform(50, 75), frames))


def two_floors(frames: int, random: np.random.Generator) -> Film:
    """A house of two floors with the same rooms, walked by turns: below and above one look at other walls."""
    plan, way = _walked(random, (joined_rooms, corridor_loop), frames)
    above = np.zeros(frames)
    begin = 0
    while begin < frames:
        stay = int(random.integers(250, 600))
        above[begin : begin + stay] = (above[begin - 1] + 1) % 2 if begin else random.integers(2)
        begin += stay
    poses = _level(*way)
    poses[:, 1, 3] -= FLOOR * above
    floors = [_inside(plan), _inside(plan)]
    floors[1].corner[:, 1] -= FLOOR
    return Film(joined(*floors), poses, _lenses(random.choice([55.0, 85.0]), frames))


def orbit(frames: int, random: np.random.Generator) -> Film:
    """Round a house on arcs, at several heights and distances, looking at it; arcs are come back to."""
    scene, _ = _streets(10, 0.1, random, square=True)
    heights, radii = random.uniform(2, 16, 4), random.uniform(11, 28, 4)
    ring = np.repeat(random.integers(0, 4, 1 + frames // 200), 200)[:frames]
    speed = np.repeat(random.choice([-1, 1], 1 + frames // 200) * random.uniform(0.3, 1.2, 1 + frames // 200), 200)
    angle = np.radians(random.uniform(0, 360) + np.cumsum(gaussian_filter1d(speed[:frames], 10)))
    radius, height = (gaussian_filter1d(of[ring], 15) for of in (radii, heights))
    places = 2.5 * PITCH + radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    yaw = np.degrees(angle) + 180 + _wander(frames, 60, 4, random)
    up = np.degrees(np.arctan2(5.0 - height, radius))
    return Film(scene, _poses(places, height, yaw, up), _lenses(random.uniform(45, 70), frames))


def aerial(frames: int, random: np.random.Generator) -> Film:
    """High over a town, 4 to 24 metres a second, looking down aslant."""
    scene, places = _streets(frames, random.uniform(0.25, 1.5), random, smooth=25.0)
    height = np.clip(random.uniform(35, 90) + _wander(frames, 200, 8, random), 30, 110)
    yaw = _ahead(places, 40) + _wander(frames, 120, 25, random)
    up = random.uniform(-65, -30) + _wander(frames, 120, 8, random)
    return Film(scene, _poses(places, height, yaw, up), _lenses(random.uniform(45, 75), frames))


def city(frames: int, random: np.random.Generator) -> Film:
    """Along streets on foot or by car, looking ahead and aside."""
    scene, places = _streets(frames, random.choice([0.08, 0.2, 0.5]), random)
    yaw = _ahead(places, 8) + _wander(frames, 40, 25, random)
    return Film(scene, _poses(places, np.full(frames, EYES), yaw, 3.0), _lenses(random.uniform(55, 85), frames))


CAMERA_KINDS: dict[str, Callable[[int, np.random.Generator], Film]] = {
    "slow dolly": slow_dolly, "fast drone": fast_drone, "handheld": handheld, "mixed speeds": mixed_speeds,
    "zooms": zooms, "wide to tele": wide_to_tele, "crane": crane, "two floors": two_floors, "orbit": orbit,
    "aerial": aerial, "city": city,
}

PITCH, BLOCKS = 22.0, 6
"""Metres from street to street, and houses along a side of the town."""


def _streets(
    frames: int, step: float, random: np.random.Generator, smooth: float = 2.5, square: bool = False
) -> tuple[Rectangles, FloatArray]:
    """A town, and places (F, 2) on a way along its streets, ``step`` metres a frame, corners ``smooth`` metres wide.

    With a ``square`` the house at its middle stands alone.
    """
    parts = [level(np.array([-5.0, -5.0, BLOCKS + 5.0, BLOCKS + 5.0]) * PITCH, 0.0)]
    for i in range(BLOCKS):
        for j in range(BLOCKS):
            if square and max(abs(i - 2), abs(j - 2)) == 1:
                continue
            centre = (np.array([i, j]) + 0.5) * PITCH + random.uniform(-0.8, 0.8, 2)
            half = random.uniform(5.0, 7.5, 2)
            box, high = np.concatenate([centre - half, centre + half]), random.uniform(5, 22)
            parts += [upright(_outline(box), 0.0, high), level(box, high)]
    moves, at, before = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)]), random.integers(1, BLOCKS, 2), 0
    corners = [at]
    for _ in range(4 + int(1.5 * frames * step / PITCH)):
        chances = np.roll([0.5, 0.225, 0.05, 0.225], before)
        there = at + moves
        chances *= ((there >= 0) & (there <= BLOCKS)).all(axis=1)
        before = int(random.choice(4, p=chances / chances.sum()))
        at = at + moves[before]
        corners.append(at)
    line = np.array(corners) * PITCH + random.uniform(-2, 2, (len(corners), 2))
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    even = np.linspace(0.0, along[-1], int(along[-1] / 0.25))
    fine = np.stack([np.interp(even, along, line[:, axis]) for axis in range(2)], axis=1)
    fine = gaussian_filter1d(fine, smooth / 0.25, axis=0, mode="nearest")
    places = np.stack([np.interp(step * np.arange(frames), even, fine[:, axis]) for axis in range(2)], axis=1)
    return joined(*parts), places


def _outline(box: FloatArray) -> FloatArray:
    x0, z0, x1, z1 = box
    corners = np.array([(x0, z0), (x1, z0), (x1, z1), (x0, z1)])
    return np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)


def _inside(plan: FloorPlan, ceiling: float = CEILING) -> Rectangles:
    box = np.concatenate(plan.extent)
    return joined(upright(plan.walls, 0.0, ceiling), level(box, 0.0), level(box, ceiling))


Way = tuple[FloatArray, FloatArray]


def _walked(
    random: np.random.Generator, plans: tuple[Callable[[np.random.Generator], FloorPlan], ...], frames: int
) -> tuple[FloorPlan, Way]:
    """A plan, and places (F, 2) and headings (F,) in radians of a walk through it."""
    plan = plans[int(random.integers(len(plans)))](random)
    poses = walk(plan, frames, random)
    return plan, (poses[:, [0, 2], 3], np.unwrap(headings(poses)))


def _at(way: Way, times: FloatArray) -> Way:
    """Places and headings between the frames of a walk."""
    places, yaw = way
    every = np.arange(len(yaw))
    found = np.stack([np.interp(times, every, places[:, axis]) for axis in range(2)], axis=1)
    return found, np.interp(times, every, yaw)


def _level(places: FloatArray, yaw: FloatArray, pan: FloatArray | float = 0.0) -> FloatArray:
    return _poses(places, EYES, np.degrees(yaw) + pan)


def _poses(
    places: FloatArray, height: FloatArray | float, yaw: FloatArray, up: FloatArray | float = 0.0,
    roll: FloatArray | float = 0.0,
) -> FloatArray:
    """Poses (F, 4, 4) at places (F, 2) and heights in metres; angles in degrees."""
    count = len(places)
    parts = [np.broadcast_to(np.asarray(part, dtype=np.float64), count) for part in (height, yaw, up, roll)]
    return np.stack([
        pose([x, -y, z], rotation(turn, tilt, leaning))
        for (x, z), y, turn, tilt, leaning in zip(places, *parts, strict=True)
    ])


def _lenses(fov: FloatArray | float, frames: int) -> FloatArray:
    return np.stack([intrinsics_from_fov(float(one), ASPECT) for one in np.broadcast_to(np.asarray(fov), frames)])


def _wander(frames: int, slow: float, size: float, random: np.random.Generator) -> FloatArray:
    """(F,) a smooth wander of standard deviation ``size``, slow over ``slow`` frames."""
    found = gaussian_filter1d(random.normal(size=frames + int(8 * slow)), slow)[int(4 * slow) :][:frames]
    return np.asarray(found * size * np.sqrt(2 * np.sqrt(np.pi) * slow))


def _ahead(places: FloatArray, frames: int) -> FloatArray:
    """(F,) the heading in degrees in which a way goes, smooth over some frames."""
    way = np.gradient(places, axis=0)
    still = np.linalg.norm(way, axis=1) < 1e-9
    yaw = np.unwrap(np.arctan2(way[:, 0], way[:, 1]))
    yaw[still] = yaw[~still][-1] if still.any() else 0.0
    return np.asarray(np.degrees(gaussian_filter1d(yaw, frames)))
