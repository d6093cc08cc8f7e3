"""Long walks through one room: there and back, looking round, and back to places left long ago."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...memory.cameras.angles import rotation
from ...memory.cameras.camera import intrinsics_from_fov, pose
from ...memory.cameras.trajectory import Trajectory
from ...world.scenes import Scene

STEP = 0.08
"""Scene units a frame: a slow walk at eight frames a second."""

TURN = 5.0
"""Degrees a frame at most."""

CLEARANCE = 0.7

Stand = tuple[float, float, float]
"""x, z and heading in degrees."""


@dataclass
class _Walker:
    scene: Scene
    rng: np.random.Generator
    now: Stand

    def go(self, x: float, z: float) -> Iterator[Stand]:
        """Straight to a place, turning to face the way."""
        while (left := math.hypot(x - self.now[0], z - self.now[1])) > STEP:
            share = STEP / left
            at = (self.now[0] + share * (x - self.now[0]), self.now[1] + share * (z - self.now[1]))
            heading = math.degrees(math.atan2(x - at[0], z - at[1]))
            self.now = (*at, self.now[2] + _limited(_turn_to(self.now[2], heading), TURN))
            yield self.now

    def turn(self, degrees: float) -> Iterator[Stand]:
        """On the spot, eased at both ends."""
        steps = max(2, round(1.5 * abs(degrees) / TURN))
        start = self.now[2]
        for step in range(1, steps + 1):
            self.now = (*self.now[:2], start + degrees * (1 - math.cos(math.pi * step / steps)) / 2)
            yield self.now

    def acts(self) -> Iterator[Stand]:
        """For ever: to a new place, sometimes back to an old one, looking to a side and back, or turning round."""
        been = [self.now]
        while True:
            old = self.rng.random() < 0.35 and len(been) > 2
            target = been[int(self.rng.integers(len(been) - 2))] if old else (*self._place(), 0.0)
            if not clear_way(self.scene, self.now[:2], target[:2]):
                yield from self.turn(float(self.rng.choice([-1, 1]) * self.rng.uniform(30, 60)))
                continue
            yield from self.go(*target[:2])
            if old:
                yield from self.turn(_turn_to(self.now[2], target[2]))
            been.append(self.now)
            side = float(self.rng.choice([-1, 1]) * self.rng.uniform(50, 120))
            yield from self.turn(side)
            if self.rng.random() < 0.6:
                yield from self.turn(-side)

    def _place(self) -> tuple[float, float]:
        x0, x1, z0, z1 = self.scene.bounds
        while True:
            x, z = self.rng.uniform(x0, x1), self.rng.uniform(z0, z1)
            if is_clear(self.scene, x, z):
                return float(x), float(z)


def long_walk(scene: Scene, frames: int, rng: np.random.Generator, fov: float = 70.0) -> Trajectory:
    """A path of so many frames at eight a second, level and at eye height, clear of walls and things."""
    walker = _Walker(scene, rng, (0.0, 0.0, float(rng.uniform(0, 360))))
    walker.now = (*walker._place(), walker.now[2])
    acts = walker.acts()
    stands = np.array([next(acts) for _ in range(frames)])
    poses = np.stack([pose([x, 0.0, z], rotation(yaw=yaw)) for x, z, yaw in _smooth(stands)])
    return Trajectory(poses, intrinsics_from_fov(fov, 1.6), fps=8.0)


def is_clear(scene: Scene, x: float, z: float) -> bool:
    x0, x1, z0, z1 = scene.bounds
    inside = x0 + CLEARANCE < x < x1 - CLEARANCE and z0 + CLEARANCE < z < z1 - CLEARANCE
    return inside and all(math.hypot(x - prop.x, z - prop.z) > 1.4 * prop.radius + 0.5 for prop in scene.props)


def clear_way(scene: Scene, start: tuple[float, float], end: tuple[float, float]) -> bool:
    steps = np.linspace(0, 1, max(2, math.ceil(math.dist(start, end) / 0.1)))
    return all(is_clear(scene, *(np.array(start) + share * (np.array(end) - np.array(start)))) for share in steps)


def _smooth(stands: NDArray[np.float64], width: int = 5) -> NDArray[np.float64]:
    padded = np.pad(stands, ((width // 2, width // 2), (0, 0)), mode="edge")
    return np.stack([padded[place : place + len(stands)] for place in range(width)]).mean(axis=0)


def _turn_to(heading: float, wanted: float) -> float:
    return (wanted - heading + 180.0) % 360.0 - 180.0


def _limited(value: float, most: float) -> float:
    return max(-most, min(most, value))
