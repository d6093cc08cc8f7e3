"""Camera moves: where the camera is for each share of the way. Every one starts at the identity pose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .angles import rotation
from .camera import FloatArray, horizontal_fov, intrinsics_from_fov, pose
from .wander import random_walk

MOST_RISE = 60.0
LEAST_FOV, MOST_FOV = 1.0, 170.0


@dataclass(frozen=True)
class Asked:
    """What a move is asked for.

    ``progress`` (F,) is the share of the way covered in each frame; ``amount`` is in degrees or scene units as the
    move's docstring says; ``radius`` in scene units; ``fov`` horizontal, in degrees; ``aspect`` width / height;
    ``seed`` for the moves that chance decides.
    """

    progress: FloatArray
    amount: float
    radius: float
    fov: float
    aspect: float
    seed: int = 0

    @property
    def lens(self) -> FloatArray:
        """Intrinsics (4,) at the start."""
        return intrinsics_from_fov(self.fov, self.aspect)


@dataclass(frozen=True)
class Moved:
    """What a move gives: ``poses`` (F, 4, 4) and ``lenses`` (F, 4), or (4,) where the lens stays as it is."""

    poses: FloatArray
    lenses: FloatArray


Move = Callable[[Asked], Moved]
Place = Callable[[Asked, float], FloatArray]


def _placed(place: Place) -> Move:
    """A move from the pose at each share of the way, with the lens left as it is."""

    def move(asked: Asked) -> Moved:
        return Moved(np.stack([place(asked, u) for u in asked.progress]), asked.lens)

    move.__doc__, move.__name__ = place.__doc__, place.__name__
    return move


@_placed
def static(asked: Asked, u: float) -> FloatArray:
    """The camera does not move. The amount is not used."""
    return np.eye(4)


@_placed
def pan(asked: Asked, u: float) -> FloatArray:
    """The camera turns on the spot by the amount in degrees: above 0 to the right."""
    return _turned(yaw=asked.amount * u)


@_placed
def tilt(asked: Asked, u: float) -> FloatArray:
    """The camera looks up or down by the amount in degrees: above 0 is up."""
    return _turned(pitch=asked.amount * u)


@_placed
def roll(asked: Asked, u: float) -> FloatArray:
    """The camera turns about its line of sight by the amount in degrees: above 0 is clockwise."""
    return _turned(roll=asked.amount * u)


@_placed
def dolly(asked: Asked, u: float) -> FloatArray:
    """The camera moves by the amount in scene units: above 0 is forward."""
    return _moved(0.0, 0.0, asked.amount * u)


@_placed
def truck(asked: Asked, u: float) -> FloatArray:
    """The camera moves sideways by the amount in scene units: above 0 is to the right."""
    return _moved(asked.amount * u, 0.0, 0.0)


@_placed
def pedestal(asked: Asked, u: float) -> FloatArray:
    """The camera rises or sinks by the amount in scene units: above 0 is up."""
    return _moved(0.0, -asked.amount * u, 0.0)


@_placed
def orbit(asked: Asked, u: float) -> FloatArray:
    """The camera circles a point in front of it, looking at it, by the amount in degrees: above 0 goes right."""
    turn = rotation(yaw=-asked.amount * u)
    return pose(np.array([0.0, 0.0, asked.radius]) - asked.radius * turn[:, 2], turn)


@_placed
def arc(asked: Asked, u: float) -> FloatArray:
    """The camera circles a point in front of it and rises over it, looking at it, by the amount in degrees.

    It rises by half as many degrees, up to 60; its distance stays. Above 0 goes right.
    """
    up = min(abs(asked.amount) / 2.0, MOST_RISE)
    turn = rotation(yaw=-asked.amount * u, pitch=-up * u)
    return pose(np.array([0.0, 0.0, asked.radius]) - asked.radius * turn[:, 2], turn)


@_placed
def crane(asked: Asked, u: float) -> FloatArray:
    """The camera rises by the amount in scene units and keeps looking at a point in front of it: above 0 is up."""
    height = asked.amount * u
    return pose([0.0, -height, 0.0], rotation(pitch=-math.degrees(math.atan2(height, asked.radius))))


@_placed
def spiral(asked: Asked, u: float) -> FloatArray:
    """The camera circles a point in front of it by the amount in degrees, closing in and rising, looking at it.

    It ends at half the distance over the ground, and half of the radius up. Above 0 goes right.
    """
    distance, height, yaw = asked.radius * (1.0 - u / 2.0), asked.radius * u / 2.0, -asked.amount * u
    over_ground = np.array([0.0, 0.0, asked.radius]) - distance * rotation(yaw=yaw)[:, 2]
    pitch = -math.degrees(math.atan2(height, distance))
    return pose(over_ground - np.array([0.0, height, 0.0]), rotation(yaw=yaw, pitch=pitch))


@_placed
def bend(asked: Asked, u: float) -> FloatArray:
    """The camera walks round a bend of the amount in degrees, looking along it: above 0 goes right."""
    side = math.copysign(asked.radius, asked.amount)
    turn = rotation(yaw=asked.amount * u)
    return pose([side * (1.0 - turn[0, 0]), 0.0, side * turn[0, 2]], turn)


def turn_away_and_come_back(asked: Asked) -> Moved:
    """The camera turns on the spot by the amount in degrees and comes back through exactly the same poses."""
    return pan(asked)


def walk_away_and_come_back(asked: Asked) -> Moved:
    """The camera walks round a bend of the amount in degrees and comes back through exactly the same poses."""
    return bend(asked)


def look_around(asked: Asked) -> Moved:
    """The camera turns all the way round, by the amount in degrees: 360 ends exactly where it began."""
    return pan(asked)


def loop(asked: Asked) -> Moved:
    """The camera walks in a circle, looking along it, by the amount in degrees: 360 ends exactly where it began."""
    return bend(asked)


def zoom(asked: Asked) -> Moved:
    """The lens zooms: its field of view narrows by the amount in degrees. Above 0 zooms in; the camera stays."""
    end = asked.fov - asked.amount
    if not LEAST_FOV <= end <= MOST_FOV:
        raise ValueError(
            f"The amount of 'zoom' is {asked.amount:g} degrees and the field of view {asked.fov:g}: it "
            f"would end at {end:g}, and must stay between {LEAST_FOV:g} and {MOST_FOV:g}. Use "
            f"{asked.fov / 2.0:g} to halve it, or -20 to widen it."
        )
    # Focal lengths in even ratios: the picture grows at an even pace.
    times = (intrinsics_from_fov(end, asked.aspect)[0] / asked.lens[0]) ** asked.progress
    return _zoomed(np.tile(np.eye(4), (len(times), 1, 1)), asked.lens, times)


def dolly_zoom(asked: Asked) -> Moved:
    """The camera moves by the amount in scene units, and what is at the radius keeps its size. Above 0 is forward."""
    times = 1.0 - asked.amount * asked.progress / asked.radius
    if not times[-1] > 0.0 or not LEAST_FOV <= horizontal_fov(asked.lens * [times[-1], 1.0, 1.0, 1.0]) <= MOST_FOV:
        raise ValueError(
            f"The amount of 'dolly zoom' is {asked.amount:g} and the radius {asked.radius:g}: the lens "
            f"would leave {LEAST_FOV:g} to {MOST_FOV:g} degrees. Use half of the radius, "
            f"{asked.radius / 2.0:g}, or a greater radius."
        )
    return _zoomed(np.stack([_moved(0.0, 0.0, asked.amount * u) for u in asked.progress]), asked.lens, times)


def handheld(asked: Asked) -> Moved:
    """The camera is held by hand and strays by about the amount in degrees, as the seed decides."""
    return static(asked)


def walk(asked: Asked) -> Moved:
    """The camera walks where the seed leads it, turning by less than the amount in degrees within 77 frames.

    Within 77 frames it goes one to two times the radius (Context-as-Memory's B-spline walk: 60 degrees, 3 to 6 units).
    """
    return Moved(random_walk(asked.progress, asked.amount, asked.radius, asked.seed), asked.lens)


def _zoomed(poses: FloatArray, lens: FloatArray, times: FloatArray) -> Moved:
    lenses = np.tile(lens, (len(times), 1))
    lenses[:, :2] *= times[:, None]
    return Moved(poses, lenses)


def _turned(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> FloatArray:
    return pose((0.0, 0.0, 0.0), rotation(yaw, pitch, roll))


def _moved(right: float, down: float, forward: float) -> FloatArray:
    return pose((right, down, forward), np.eye(3))
