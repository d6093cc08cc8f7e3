"""Random camera walks for training: turns, steps, turn-backs, a little pitch and height."""

from __future__ import annotations

import numpy as np

from .scenes import Scene


def random_walk(scene: Scene, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A smooth walk that stays inside the scene and clear of its props.

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
        if _free(scene, x + step[0], z + step[1]):
            x, z = x + step[0], z + step[1]
        path[frame] = x, z
    poses = np.tile(np.eye(4), (frames, 1, 1))
    for frame in range(frames):
        poses[frame, :3, :3] = _rotation(yaw[frame], pitch[frame], roll[frame])
        poses[frame, :3, 3] = path[frame, 0], height[frame], path[frame, 1]
    view = 70.0 if rng.random() < 0.8 else rng.uniform(52.0, 90.0)
    focal = 0.5 / np.tan(np.deg2rad(view) / 2)
    return poses, np.tile([focal, focal * 1.6, 0.5, 0.5], (frames, 1))


def _smooth_speed(rng: np.random.Generator, frames: int, peak: float) -> np.ndarray:
    """Speeds with random stops and turn-backs: a few keys, eased between."""
    keys = rng.uniform(-1, 1, rng.integers(3, 6))
    if rng.random() < 0.5:
        keys[: len(keys) // 2], keys[len(keys) // 2 :] = 1.0, -1.0
    return peak * np.interp(np.linspace(0, len(keys) - 1, frames), np.arange(len(keys)), keys)


def _wander(rng: np.random.Generator, frames: int, amount: float) -> np.ndarray:
    keys = rng.normal(0, amount, 4) if amount else np.zeros(4)
    return np.interp(np.linspace(0, 3, frames), np.arange(4), keys)


def _free(scene: Scene, x: float, z: float) -> bool:
    x0, x1, z0, z1 = scene.bounds
    if not (x0 + 0.7 < x < x1 - 0.7 and z0 + 0.7 < z < z1 - 0.7):
        return False
    return all(np.hypot(x - prop.x, z - prop.z) > prop.radius * 1.4 + 0.5 for prop in scene.props)


def _start(scene: Scene, rng: np.random.Generator, moving: bool) -> tuple[float, float]:
    for _ in range(30 if moving or rng.random() < 0.6 else 0):
        x0, x1, z0, z1 = scene.bounds
        x, z = rng.uniform(x0, x1), rng.uniform(z0, z1)
        if _free(scene, x, z):
            return float(x), float(z)
    return 0.0, 0.0


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Camera-to-world: yaw turns right, pitch looks up, roll is clockwise; degrees."""
    y, p, r = np.deg2rad([yaw, pitch, roll])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    look = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    lean = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return turn @ look @ lean
