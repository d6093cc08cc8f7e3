"""The moves of released versions give the same bits for ever: a film that is resumed is known by its cameras."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import pose
from scene_memory.memory.cameras.presets import make_preset

ORIGIN = (0.0, 0.0, 0.0)
Place = Callable[[float, float, float], np.ndarray]


def orbit(angle: float, radius: float) -> np.ndarray:
    turn = rotation(yaw=-angle)
    return pose(np.array([0.0, 0.0, radius]) - radius * turn[:, 2], turn)


def bend(angle: float, amount: float, radius: float) -> np.ndarray:
    turn, side = rotation(yaw=angle), math.copysign(radius, amount)
    return pose([side * (1.0 - turn[0, 0]), 0.0, side * turn[0, 2]], turn)


RELEASED: dict[str, Place] = {
    "static": lambda u, amount, radius: np.eye(4),
    "pan": lambda u, amount, radius: pose(ORIGIN, rotation(yaw=amount * u)),
    "tilt": lambda u, amount, radius: pose(ORIGIN, rotation(pitch=amount * u)),
    "roll": lambda u, amount, radius: pose(ORIGIN, rotation(roll=amount * u)),
    "dolly": lambda u, amount, radius: pose((0.0, 0.0, amount * u), np.eye(3)),
    "truck": lambda u, amount, radius: pose((amount * u, 0.0, 0.0), np.eye(3)),
    "pedestal": lambda u, amount, radius: pose((0.0, -amount * u, 0.0), np.eye(3)),
    "orbit": lambda u, amount, radius: orbit(amount * u, radius),
    "turn away and come back": lambda u, amount, radius: pose(ORIGIN, rotation(yaw=amount * u)),
    "walk away and come back": lambda u, amount, radius: bend(amount * u, amount, radius),
    "look around": lambda u, amount, radius: pose(ORIGIN, rotation(yaw=amount * u)),
}
"""Moves of version 0.2 as their formulas were: u is the share of the way."""


@pytest.mark.parametrize("name", RELEASED)
@pytest.mark.parametrize("easing", ["smooth", "even"])
@pytest.mark.parametrize(("frames", "amount", "radius"), [(96, 120.0, 3.0), (81, -33.3, 0.7), (3, 360.0, 2.0)])
def test_a_released_move_has_kept_its_bits(name: str, easing: str, frames: int, amount: float, radius: float) -> None:
    out = (frames + 1) // 2 if name.endswith("come back") else frames
    u = np.linspace(0.0, 1.0, out)
    if easing == "smooth":
        u = u * u * (3.0 - 2.0 * u)
    there = np.stack([RELEASED[name](share, amount, radius) for share in u])
    expected = np.concatenate([there, there[::-1][frames % 2 :]]) if out < frames else there
    made = make_preset(name, frames=frames, fps=8.0, amount=amount, fov=70.0, aspect=1.6, easing=easing, radius=radius)
    assert made.poses.tobytes() == expected.tobytes()
    fx = 0.5 / math.tan(math.radians(70.0) / 2.0)
    assert made.intrinsics.tobytes() == np.tile([fx, fx * 1.6, 0.5, 0.5], (frames, 1)).tobytes()
