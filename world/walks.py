"""Camera walks: random ones for training, and long tours through joined rooms."""

from __future__ import annotations

import numpy as np

from ..memory.cameras.angles import rotations
from .scenes import Scene, doorway_place

CLEAR_OF_WALLS = 0.7


def random_walk(scene: Scene, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A smooth walk that stays inside the scene and clear of its props: turns, steps, turn-backs, a little pitch.

    Returns:
        poses (frames, 4, 4) camera-to-world in OpenCV axes and intrinsics (frames, 4), for pictures of 8:5.
    """
    moving = rng.random() < 0.62
    yaw = np.cumsum(_smooth_speed(rng, frames, rng.uniform(1.5, 9.0))) + rng.uniform(0, 360)
    pitch = _wander(rng, frames, rng.choice([0.0, 5.0, 14.0], p=[0.6, 0.28, 0.12]))
    roll = np.full(frames, rng.normal(0, 4) if rng.random() < 0.04 else 0.0)
    height = _wander(rng, frames, rng.choice([0.0, 0.25], p=[0.85, 0.15]))
    x, z = _start(scene, rng, moving)
    path = np.empty((frames, 2))
    speed = _smooth_speed(rng, frames, rng.uniform(0.03, 0.16)) if moving else np.zeros(frames)
    sideways = np.deg2rad(rng.choice([0.0, 90.0, rng.uniform(-180, 180)]))
    for frame in range(frames):
        heading = np.deg2rad(yaw[frame]) + sideways
        step = np.array([np.sin(heading), np.cos(heading)]) * speed[frame]
        if free(scene, x + step[0], z + step[1]):
            x, z = x + step[0], z + step[1]
        path[frame] = x, z
    poses = _poses(path, yaw, pitch, roll, height)
    view = 70.0 if rng.random() < 0.8 else rng.uniform(52.0, 90.0)
    return poses, _lenses(view, frames)


def tour(
    scene: Scene, frames: int, rng: np.random.Generator, speed: float = 0.08, look: float = 35.0
) -> tuple[np.ndarray, np.ndarray]:
    """A walk from place to place and room to room, facing where it goes and looking about; it comes back often.

    Args:
        speed: scene units a frame.
        look: how far it turns its head from the way, degrees.

    Returns:
        as `random_walk`: poses (frames, 4, 4) and intrinsics (frames, 4), of a lens of 70 degrees.
    """
    way = _way(scene, rng, frames * speed)
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(way, axis=0).T))])
    path = np.stack([np.interp(np.arange(frames) * speed, along, way[:, axis]) for axis in (0, 1)], axis=1)
    reach = max(1, round(0.6 / speed))
    path = _smoothed(path, reach)
    ahead = np.concatenate([path[reach:], np.repeat(path[-1:], reach, axis=0)]) - path
    heading = np.unwrap(np.arctan2(ahead[:, 0], ahead[:, 1]))
    # A turn on the spot at the end of a way is spread over a second or two.
    heading = _smoothed(heading[:, None], max(4, 2 * reach))[:, 0]
    about = np.interp(np.arange(frames), np.arange(0, frames + 24, 12), rng.uniform(-1, 1, (frames + 35) // 12))
    yaw = np.rad2deg(heading) + look * _smoothed(about[:, None], 6)[:, 0]
    still = np.zeros(frames)
    return _poses(path, yaw, still, still, still), _lenses(70.0, frames)


def free(scene: Scene, x: float, z: float) -> bool:
    """Whether a camera may stand there: clear of walls and props, or in a doorway."""
    if any(np.hypot(x - prop.x, z - prop.z) <= prop.radius * 1.4 + 0.5 + prop.orbit for prop in scene.props):
        return False
    return any(room.holds(x, z, CLEAR_OF_WALLS) for room in scene.rooms) or _in_doorway(scene, x, z)


def _in_doorway(scene: Scene, x: float, z: float) -> bool:
    for room in scene.rooms:
        for doorway in room.doorways:
            middle_x, middle_z = doorway_place(room, doorway)
            across, through = (x - middle_x, z - middle_z) if doorway.wall in (0, 1) else (z - middle_z, x - middle_x)
            if abs(across) < (doorway.right - doorway.left) / 2 - 0.3 and abs(through) < CLEAR_OF_WALLS + 0.05:
                return True
    return False


def _way(scene: Scene, rng: np.random.Generator, length: float) -> np.ndarray:
    """Corners of a way at least `length` long, (n, 2), from free place to free place through doorways."""
    x, z = _start(scene, rng, True)
    here, corners, walked = scene.room_at(x, z), [(x, z)], 0.0
    for _ in range(10_000):
        if walked > length:
            break
        room = scene.rooms[here]
        ways: list[tuple[float, float]] = []
        there = here
        if room.doorways and rng.random() < 0.6:
            doorway = room.doorways[rng.integers(len(room.doorways))]
            there = doorway.leads_to
            ways += [doorway_place(room, doorway, 1.0), doorway_place(room, doorway, -1.0)]
        x0, x1, z0, z1 = scene.rooms[there].bounds
        ways.append((float(rng.uniform(x0 + 0.8, x1 - 0.8)), float(rng.uniform(z0 + 0.8, z1 - 0.8))))
        legs = list(zip([corners[-1], *ways[:-1]], ways, strict=True))
        if not all(_leg_free(scene, *leg) for leg in legs):
            continue
        corners, here = corners + ways, there
        walked += sum(float(np.hypot(b[0] - a[0], b[1] - a[1])) for a, b in legs)
    return np.array([*corners, corners[-1]])


def _leg_free(scene: Scene, start: tuple[float, float], end: tuple[float, float]) -> bool:
    count = 2 + int(np.hypot(end[0] - start[0], end[1] - start[1]) / 0.15)
    return all(free(scene, *place) for place in np.linspace(start, end, count))


def _smoothed(values: np.ndarray, reach: int) -> np.ndarray:
    kernel = np.hanning(2 * reach + 3)[1:-1]
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T], axis=1)


def _smooth_speed(rng: np.random.Generator, frames: int, peak: float) -> np.ndarray:
    """Speeds with random stops and turn-backs: a few keys, eased between."""
    keys = rng.uniform(-1, 1, rng.integers(3, 6))
    if rng.random() < 0.5:
        keys[: len(keys) // 2], keys[len(keys) // 2 :] = 1.0, -1.0
    return peak * np.interp(np.linspace(0, len(keys) - 1, frames), np.arange(len(keys)), keys)


def _wander(rng: np.random.Generator, frames: int, amount: float) -> np.ndarray:
    keys = rng.normal(0, amount, 4) if amount else np.zeros(4)
    return np.interp(np.linspace(0, 3, frames), np.arange(4), keys)


def _start(scene: Scene, rng: np.random.Generator, moving: bool) -> tuple[float, float]:
    for _ in range(30 if moving or rng.random() < 0.6 else 0):
        x0, x1, z0, z1 = scene.rooms[rng.integers(len(scene.rooms))].bounds
        x, z = rng.uniform(x0, x1), rng.uniform(z0, z1)
        if free(scene, x, z):
            return float(x), float(z)
    return 0.0, 0.0


def _poses(
    path: np.ndarray, yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray, height: np.ndarray
) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(path), 1, 1))
    poses[:, :3, :3] = rotations(yaw, pitch, roll)
    poses[:, 0, 3], poses[:, 1, 3], poses[:, 2, 3] = path[:, 0], height, path[:, 1]
    return poses


def _lenses(view: float, frames: int) -> np.ndarray:
    focal = 0.5 / np.tan(np.deg2rad(view) / 2)
    return np.tile([focal, focal * 1.6, 0.5, 0.5], (frames, 1))
