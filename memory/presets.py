"""Ready-made camera moves. Each starts at the identity pose; ``Trajectory.after`` puts it where the film stands."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .camera import FloatArray, intrinsics_from_fov, pose, rotation
from .trajectory import Trajectory

Move = Callable[[FloatArray, float, float], list[FloatArray]]


def static(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera does not move. The amount is not used."""
    return [np.eye(4) for _ in progress]


def pan(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera turns on the spot by the amount in degrees: above 0 to the right."""
    return [_turned(yaw=amount * u) for u in progress]


def tilt(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera looks up or down by the amount in degrees: above 0 is up."""
    return [_turned(pitch=amount * u) for u in progress]


def roll(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera turns about its line of sight by the amount in degrees: above 0 is clockwise."""
    return [_turned(roll=amount * u) for u in progress]


def dolly(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera moves by the amount in scene units: above 0 is forward."""
    return [_moved(0.0, 0.0, amount * u) for u in progress]


def truck(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera moves sideways by the amount in scene units: above 0 is to the right."""
    return [_moved(amount * u, 0.0, 0.0) for u in progress]


def pedestal(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera rises or sinks by the amount in scene units: above 0 is up."""
    return [_moved(0.0, -amount * u, 0.0) for u in progress]


def orbit(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera circles a point in front of it, looking at it, by the amount in degrees: above 0 goes right."""
    poses = []
    for u in progress:
        turn = rotation(yaw=-amount * u)
        poses.append(pose(np.array([0.0, 0.0, radius]) - radius * turn[:, 2], turn))
    return poses


def turn_away_and_come_back(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera turns on the spot by the amount in degrees and comes back through exactly the same poses."""
    return pan(progress, amount, radius)


def walk_away_and_come_back(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera walks round a bend of the amount in degrees and comes back through exactly the same poses."""
    side = math.copysign(radius, amount)
    poses = []
    for u in progress:
        turn = rotation(yaw=amount * u)
        poses.append(pose([side * (1.0 - turn[0, 0]), 0.0, side * turn[0, 2]], turn))
    return poses


def look_around(progress: FloatArray, amount: float, radius: float) -> list[FloatArray]:
    """The camera turns all the way round, by the amount in degrees: 360 ends exactly where it began."""
    return pan(progress, amount, radius)


PRESETS: dict[str, Move] = {
    "static": static,
    "pan": pan,
    "tilt": tilt,
    "roll": roll,
    "dolly": dolly,
    "truck": truck,
    "pedestal": pedestal,
    "orbit": orbit,
    "turn away and come back": turn_away_and_come_back,
    "walk away and come back": walk_away_and_come_back,
    "look around": look_around,
}
"""Moves by the name the artist sees. A move's docstring says what its amount means."""

RETURNING = frozenset({"turn away and come back", "walk away and come back"})
"""Moves whose frames i and F-1-i have equal poses, bit for bit."""

EASINGS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "smooth": lambda u: u * u * (3.0 - 2.0 * u),
    "even": lambda u: u,
}
"""``smooth`` starts and stops gently, ``even`` moves at one speed."""


def make_preset(
    name: str,
    *,
    frames: int,
    fps: float,
    amount: float,
    fov: float,
    aspect: float,
    easing: str = "smooth",
    radius: float = 3.0,
) -> Trajectory:
    """A camera path (F = ``frames``) that starts at the identity pose.

    ``amount`` is in degrees or scene units as the move's docstring says; ``fov`` is horizontal, in degrees; ``aspect``
    is width / height; ``radius`` in scene units is the distance to the orbit's centre and the radius of the walk's
    bend.
    """
    if name not in PRESETS:
        raise ValueError(f"There is no camera move {name!r}. Use one of: {', '.join(PRESETS)}.")
    if easing not in EASINGS:
        raise ValueError(f"There is no easing {easing!r}. Use one of: {', '.join(EASINGS)}.")
    least = 3 if name in RETURNING else 1
    if frames < least:
        raise ValueError(f"{name!r} has {frames} frames: it needs at least {least}. Use 81.")
    if not math.isfinite(amount):
        raise ValueError(f"The amount of {name!r} is {amount}: it must be a finite number. Use 90 degrees or 2 units.")
    if not (math.isfinite(radius) and radius > 0.0):
        raise ValueError(f"The radius of {name!r} is {radius}: it must be above 0. Use 3.")
    steps = (frames + 1) // 2 if name in RETURNING else frames
    progress = EASINGS[easing](np.linspace(0.0, 1.0, steps))
    poses = np.stack(PRESETS[name](progress, amount, radius))
    if name in RETURNING:
        poses = np.concatenate([poses, poses[::-1][frames % 2 :]])
    return Trajectory(poses, intrinsics_from_fov(fov, aspect), fps, name)


def _turned(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> FloatArray:
    return pose((0.0, 0.0, 0.0), rotation(yaw, pitch, roll))


def _moved(right: float, down: float, forward: float) -> FloatArray:
    return pose((right, down, forward), np.eye(3))
