"""Films through rendered scenes whose cameras are known: rooms full of texture, blank ones, blur, things that move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from ....memory.cameras.angles import rotation, rotations
from ....memory.cameras.camera import intrinsics_from_fov
from ....memory.cameras.trajectory import Trajectory
from ....memory.geometry.recognition import Remembered
from ....world.render import render_with_depth
from ....world.scenes import Scene, make_scene, set_moving
from ....world.walks import free

FPS = 16.0
KINDS = ("textured", "turn", "blank", "blur", "moving", "grey", "noise")
"""A room full of texture; the same with a camera that only turns; a room of plain walls; motion blur for a third of the
film; a thing that goes round and a patch that sweeps over the picture; a wall without anything for a while; grain."""
PLANNED_WRONG = 8.0
"""Degrees that the planned path turns less than the film does, and a quarter less way: a plan is no truth."""


@dataclass(frozen=True, eq=False)
class KnownFilm:
    """``pictures`` (F, H, W, 3) uint8 along the path ``truth``, ``planned`` which the model was asked for, and
    ``remembered`` frames of the place with true depth."""

    name: str
    pictures: NDArray[np.uint8]
    truth: Trajectory
    planned: Trajectory
    remembered: Remembered


def scenes(first: int, textured: bool) -> Iterator[Scene]:
    """Rooms from a seed on: those with patterns on walls and floor and things on the walls, or those with neither."""
    seed = first
    while True:
        scene = make_scene(seed, "room")
        walls, floor = scene.rooms[0].walls[0].pattern, scene.rooms[0].floor.pattern
        if textured and walls in ("brick", "striped") and floor != "plain" and len(scene.rooms[0].openings) >= 4:
            yield scene
        if not textured and walls == floor == "plain":
            yield scene
        seed += 1


def known_film(
    kind: str, scene: Scene, frames: int, width: int, height: int, seed: int = 0, supersample: int = 2
) -> KnownFilm:
    """A film of one of ``KINDS`` in a scene; the same arguments give the same film."""
    random = np.random.default_rng([scene.seed, seed])
    if kind == "moving":
        scene = set_moving(scene, random)
    poses = _path(scene, frames, random, turns=kind == "turn")
    lens = intrinsics_from_fov(70.0, width / height)
    truth = Trajectory(poses, lens, FPS, kind)
    times = np.arange(frames) / FPS
    pictures = render_with_depth(
        scene, truth.poses, truth.intrinsics, width, height, supersample, times=times
    )[0].numpy()  # fmt: skip
    seen = poses[np.linspace(0, frames - 1, 4).round().astype(int)].copy()
    seen[:, :3, 3] += random.normal(0.0, 0.2, (4, 3)) * (1.0, 0.3, 1.0)
    for number in range(4):
        seen[number, :3, :3] @= rotation(*random.normal(0.0, (8.0, 3.0, 0.0)))
    past, depth = render_with_depth(scene, seen, truth.intrinsics[:4], width, height, supersample)
    across = np.linspace(0, width, 64, endpoint=False).astype(int) + width // 128
    down = np.linspace(0, height, 37, endpoint=False).astype(int) + height // 74
    far = depth.numpy()[:, down][:, :, across]
    remembered = Remembered(past.numpy(), seen, truth.intrinsics[:4], np.where(np.isfinite(far), far, np.nan))
    return KnownFilm(kind, _spoiled(kind, pictures, random), truth, _planned(truth), remembered)


def _planned(truth: Trajectory) -> Trajectory:
    """A plan that begins where the film does and that the film did not follow."""
    poses = truth.poses.copy()
    first = poses[0, :3, 3].copy()
    poses[:, :3, 3] = first + 0.75 * (poses[:, :3, 3] - first)
    less = rotations(np.linspace(0.0, PLANNED_WRONG, len(poses)), np.zeros(len(poses)), np.zeros(len(poses)))
    poses[:, :3, :3] = poses[:, :3, :3] @ less
    return replace(truth, poses=poses, name="planned")


def _path(scene: Scene, frames: int, random: np.random.Generator, turns: bool) -> NDArray[np.float64]:
    """Poses (F, 4, 4) of a smooth walk clear of walls and things, at the pace of a person with a camera."""
    x0, x1, z0, z1 = scene.bounds
    for _ in range(500):
        x, z = random.uniform(x0 + 1, x1 - 1), random.uniform(z0 + 1, z1 - 1)
        yaw, pitch = random.uniform(0, 360) + np.cumsum(_smooth(random, frames, 1.6)), _smooth(random, frames, 6.0)
        height, ground = _smooth(random, frames, 0.15), np.tile((x, z), (frames, 1))
        if turns:
            sweep = random.choice((-1, 1)) * random.uniform(1.0, 2.5)
            yaw, height = yaw[0] + sweep * np.arange(frames), np.zeros(frames)
        else:
            heading = np.radians(yaw[0] + random.uniform(-180, 180) + np.cumsum(_smooth(random, frames, 1.5)))
            steps = np.stack([np.sin(heading), np.cos(heading)], axis=1) * random.uniform(0.03, 0.07)
            ground = ground + np.cumsum(steps, axis=0)
        if all(free(scene, *place) for place in ground):
            break
    else:
        raise ValueError(f"Scene {scene.seed} has no room for a walk of {frames} frames. Take another seed.")
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3] = rotations(yaw, pitch, np.zeros(frames))
    poses[:, 0, 3], poses[:, 1, 3], poses[:, 2, 3] = ground[:, 0], height, ground[:, 1]
    return poses


def _smooth(random: np.random.Generator, count: int, most: float) -> NDArray[np.float64]:
    keys = random.uniform(-most, most, 5)
    return np.asarray(CubicSpline(np.linspace(0, 1, 5), keys)(np.linspace(0, 1, count)))


def _spoiled(kind: str, pictures: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    result = pictures.copy()
    frames, height, width, _ = pictures.shape
    third = slice(frames // 3, 2 * frames // 3)
    if kind == "blur":
        kernel = np.zeros((width // 14 | 1,) * 2, np.float32)
        kernel[len(kernel) // 2] = 1 / len(kernel)
        result[third] = [cv2.filter2D(picture, -1, kernel) for picture in pictures[third]]
    elif kind == "grey":
        wall = 130 + random.normal(0.0, 2.0, result[third].shape)
        result[third] = wall.clip(0, 255)
    elif kind == "noise":
        result = (pictures + random.normal(0.0, 8.0, pictures.shape)).clip(0, 255).astype(np.uint8)
    elif kind == "moving":
        tall, wide = height // 3, width // 3
        patch = cv2.resize(
            random.integers(0, 256, (12, 12, 3)).astype(np.uint8), (wide, tall), interpolation=cv2.INTER_CUBIC
        )
        for frame, picture in enumerate(result):
            left = int((width - wide) * (0.5 + 0.5 * np.sin(4.0 * frame / frames)))
            top = int((height - tall) * (0.5 + 0.5 * np.cos(3.0 * frame / frames)))
            picture[top : top + tall, left : left + wide] = patch
    return result
