"""Ready-made camera moves: where the camera is for each share of the way, and how far, at what pace and with what sway.

Each starts at the identity pose; ``Trajectory.after`` puts it where the film stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .angles import rotation
from .camera import FloatArray, horizontal_fov, intrinsics_from_fov, pose
from .pacing import EASINGS, progress
from .trajectory import Trajectory
from .wander import hand_sway, random_walk

__all__ = ["DEGREES", "EASINGS", "PRESETS", "RETURNING", "UNITS", "Preset", "fewest_frames", "make_preset"]

DEGREES, UNITS = "degrees", "scene units"
MOST_RISE = 60.0
LEAST_FOV, MOST_FOV = 1.0, 170.0


@dataclass(frozen=True)
class MoveParameters:
    """What a move is asked for.

    ``progress`` (F,) is the share of the way covered in each frame; ``amount`` is in degrees or scene units as the
    preset says; ``radius`` in scene units; ``fov`` horizontal, in degrees; ``aspect`` width / height;
    ``seed`` for the moves that chance decides.
    """

    progress: FloatArray
    amount: float
    radius: float
    fov: float
    aspect: float
    seed: int = 0

    @property
    def intrinsics(self) -> FloatArray:
        """Intrinsics (4,) at the start."""
        return intrinsics_from_fov(self.fov, self.aspect)


@dataclass(frozen=True)
class MoveResult:
    """What a move gives: ``poses`` (F, 4, 4) and ``intrinsics`` (F, 4), or (4,) where the lens stays as it is."""

    poses: FloatArray
    intrinsics: FloatArray


Move = Callable[[MoveParameters], MoveResult]
PoseAt = Callable[[MoveParameters, float], FloatArray]


def _each_pose(pose_at: PoseAt) -> Move:
    """A move from the pose at each share of the way, with the lens left as it is."""

    def move(given: MoveParameters) -> MoveResult:
        return MoveResult(np.stack([pose_at(given, u) for u in given.progress]), given.intrinsics)

    return move


@_each_pose
def _static(given: MoveParameters, u: float) -> FloatArray:
    return np.eye(4)


@_each_pose
def _pan(given: MoveParameters, u: float) -> FloatArray:
    return _turned(yaw=given.amount * u)


@_each_pose
def _tilt(given: MoveParameters, u: float) -> FloatArray:
    return _turned(pitch=given.amount * u)


@_each_pose
def _roll(given: MoveParameters, u: float) -> FloatArray:
    return _turned(roll=given.amount * u)


@_each_pose
def _dolly(given: MoveParameters, u: float) -> FloatArray:
    return _moved(0.0, 0.0, given.amount * u)


@_each_pose
def _truck(given: MoveParameters, u: float) -> FloatArray:
    return _moved(given.amount * u, 0.0, 0.0)


@_each_pose
def _pedestal(given: MoveParameters, u: float) -> FloatArray:
    return _moved(0.0, -given.amount * u, 0.0)


@_each_pose
def _orbit(given: MoveParameters, u: float) -> FloatArray:
    turn = rotation(yaw=-given.amount * u)
    return pose(np.array([0.0, 0.0, given.radius]) - given.radius * turn[:, 2], turn)


@_each_pose
def _arc(given: MoveParameters, u: float) -> FloatArray:
    """It rises by half as many degrees, up to 60; its distance stays. Above 0 goes right."""
    up = min(abs(given.amount) / 2.0, MOST_RISE)
    turn = rotation(yaw=-given.amount * u, pitch=-up * u)
    return pose(np.array([0.0, 0.0, given.radius]) - given.radius * turn[:, 2], turn)


@_each_pose
def _crane(given: MoveParameters, u: float) -> FloatArray:
    height = given.amount * u
    return pose([0.0, -height, 0.0], rotation(pitch=-math.degrees(math.atan2(height, given.radius))))


@_each_pose
def _spiral(given: MoveParameters, u: float) -> FloatArray:
    """It ends at half the distance over the ground, and half of the radius up. Above 0 goes right."""
    distance, height, yaw = given.radius * (1.0 - u / 2.0), given.radius * u / 2.0, -given.amount * u
    over_ground = np.array([0.0, 0.0, given.radius]) - distance * rotation(yaw=yaw)[:, 2]
    pitch = -math.degrees(math.atan2(height, distance))
    return pose(over_ground - np.array([0.0, height, 0.0]), rotation(yaw=yaw, pitch=pitch))


@_each_pose
def _bend(given: MoveParameters, u: float) -> FloatArray:
    """The camera walks round a bend of the amount in degrees, looking along it: above 0 goes right."""
    side = math.copysign(given.radius, given.amount)
    turn = rotation(yaw=given.amount * u)
    return pose([side * (1.0 - turn[0, 0]), 0.0, side * turn[0, 2]], turn)


def _zoom(given: MoveParameters) -> MoveResult:
    """Raises ``ValueError`` if it would end outside 1 to 170 degrees."""
    end = given.fov - given.amount
    if not LEAST_FOV <= end <= MOST_FOV:
        raise ValueError(
            f"The amount of 'zoom' is {given.amount:g} degrees and the field of view {given.fov:g}: it "
            f"would end at {end:g}, and must stay between {LEAST_FOV:g} and {MOST_FOV:g}. Use "
            f"{given.fov / 2.0:g} to halve it, or -20 to widen it."
        )
    # Focal lengths in even ratios: the picture grows at an even pace.
    times = (intrinsics_from_fov(end, given.aspect)[0] / given.intrinsics[0]) ** given.progress
    return _zoomed(np.tile(np.eye(4), (len(times), 1, 1)), given.intrinsics, times)


def _dolly_zoom(given: MoveParameters) -> MoveResult:
    """Raises ``ValueError`` if the lens would leave 1 to 170 degrees."""
    times = 1.0 - given.amount * given.progress / given.radius
    end = given.intrinsics * [times[-1], 1.0, 1.0, 1.0]
    if not times[-1] > 0.0 or not LEAST_FOV <= horizontal_fov(end) <= MOST_FOV:
        raise ValueError(
            f"The amount of 'dolly zoom' is {given.amount:g} and the radius {given.radius:g}: the lens "
            f"would leave {LEAST_FOV:g} to {MOST_FOV:g} degrees. Use half of the radius, "
            f"{given.radius / 2.0:g}, or a greater radius."
        )
    return _zoomed(np.stack([_moved(0.0, 0.0, given.amount * u) for u in given.progress]), given.intrinsics, times)


def _walk(given: MoveParameters) -> MoveResult:
    """Within 77 frames it goes one to two times the radius (Context-as-Memory: 60 degrees, 3 to 6 units)."""
    return MoveResult(random_walk(given.progress, given.amount, given.radius, given.seed), given.intrinsics)


def _zoomed(poses: FloatArray, start: FloatArray, times: FloatArray) -> MoveResult:
    intrinsics = np.tile(start, (len(times), 1))
    intrinsics[:, :2] *= times[:, None]
    return MoveResult(poses, intrinsics)


def _turned(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> FloatArray:
    return pose((0.0, 0.0, 0.0), rotation(yaw, pitch, roll))


def _moved(right: float, down: float, forward: float) -> FloatArray:
    return pose((right, down, forward), np.eye(3))


@dataclass(frozen=True)
class Preset:
    """A camera move: the function ``move``, the ``unit`` of its amount (empty where it is not used), the ``amount``
    that shows it well, and ``about``: what the camera does and what the amount means, in a sentence or two.

    The node's tooltip is made of it, and its help page is held to it.
    """

    move: Move
    unit: str
    amount: float
    about: str


PRESETS: dict[str, Preset] = {
    "static": Preset(_static, "", 0.0, "The camera does not move. The amount is not used."),
    "pan": Preset(_pan, DEGREES, 60.0, "The camera turns on the spot by the amount in degrees: above 0 to the right."),
    "tilt": Preset(_tilt, DEGREES, 20.0, "The camera looks up or down by the amount in degrees: above 0 is up."),
    "roll": Preset(
        _roll, DEGREES, 15.0, "The camera turns about its line of sight by the amount in degrees: above 0 is clockwise."
    ),
    "dolly": Preset(_dolly, UNITS, 1.0, "The camera moves by the amount in scene units: above 0 is forward."),
    "truck": Preset(
        _truck, UNITS, 1.0, "The camera moves sideways by the amount in scene units: above 0 is to the right."
    ),
    "pedestal": Preset(_pedestal, UNITS, 0.5, "The camera rises or sinks by the amount in scene units: above 0 is up."),
    "orbit": Preset(
        _orbit, DEGREES, 60.0,
        "The camera circles a point in front of it, looking at it, by the amount in degrees: above 0 goes right.",
    ),
    "arc": Preset(
        _arc, DEGREES, 60.0,
        "The camera circles a point in front of it and rises over it, looking at it, by the amount in degrees.",
    ),
    "crane": Preset(
        _crane, UNITS, 1.0,
        "The camera rises by the amount in scene units and keeps looking at a point in front of it: above 0 is up.",
    ),
    "spiral": Preset(
        _spiral, DEGREES, 360.0,
        "The camera circles a point in front of it by the amount in degrees, closing in and rising, looking at it.",
    ),
    "zoom": Preset(
        _zoom, DEGREES, 35.0,
        "The lens zooms: its field of view narrows by the amount in degrees. Above 0 zooms in; the camera stays.",
    ),
    "dolly zoom": Preset(
        _dolly_zoom, UNITS, 1.0,
        "The camera moves by the amount in scene units, and what is at the radius keeps its size. Above 0 is forward.",
    ),
    "handheld": Preset(
        _static, DEGREES, 1.0,
        "The camera is held by hand and strays by about the amount in degrees, as the seed decides.",
    ),
    "walk": Preset(
        _walk, DEGREES, 60.0,
        "The camera walks where the seed leads it, turning by less than the amount in degrees within 77 frames.",
    ),
    "loop": Preset(
        _bend, DEGREES, 360.0,
        "The camera walks in a circle, looking along it, by the amount in degrees: 360 ends exactly where it began.",
    ),
    "turn away and come back": Preset(
        _pan, DEGREES, 120.0,
        "The camera turns on the spot by the amount in degrees and comes back through exactly the same poses.",
    ),
    "walk away and come back": Preset(
        _bend, DEGREES, 90.0,
        "The camera walks round a bend of the amount in degrees and comes back through exactly the same poses.",
    ),
    "look around": Preset(
        _pan, DEGREES, 360.0,
        "The camera turns all the way round, by the amount in degrees: 360 ends exactly where it began.",
    ),
}
"""Moves by the name the artist sees. The names are kept in saved workflows: never change one, and add new ones at the
end."""

RETURNING = frozenset({"turn away and come back", "walk away and come back"})
"""Moves whose frames i and F-1-i have equal poses, bit for bit."""


def fewest_frames(name: str) -> int:
    """The least frames of a move, its first among them."""
    return 3 if name in RETURNING else 1


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
    seed: int = 0,
    speed: Sequence[float] = (),
    handheld: float = 0.0,
) -> Trajectory:
    """A camera path (F = ``frames``) that starts at the identity pose.

    ``amount`` is in degrees or scene units as the move says (``PRESETS[name].about``); ``fov`` is horizontal, in
    degrees; ``aspect`` is width / height; ``radius`` in scene units is the distance to the point that orbit, arc,
    crane, spiral and dolly zoom look at, the radius of a bend or loop, and the least way of a walk in 77 frames.
    ``seed`` decides walk and handheld; ``speed`` is a speed curve, see ``pacing.progress``; ``handheld`` adds the
    sway of a hand to any move, in degrees.

    Raises ``ValueError``, with what to use instead, for a name, an easing or a speed curve that there is not, and for
    numbers that the move cannot take.
    """
    if name not in PRESETS:
        raise ValueError(f"There is no camera move {name!r}. Use one of: {', '.join(PRESETS)}.")
    if frames < (least := fewest_frames(name)):
        raise ValueError(f"{name!r} has {frames} frames: it needs at least {least}. Use 81.")
    if not math.isfinite(amount):
        raise ValueError(f"The amount of {name!r} is {amount}: it must be a finite number. Use 90 degrees or 2 units.")
    if not (math.isfinite(radius) and radius > 0.0):
        raise ValueError(f"The radius of {name!r} is {radius}: it must be above 0. Use 3.")
    if not (math.isfinite(handheld) and 0.0 <= handheld <= 45.0):
        raise ValueError(
            f"The handheld sway of {name!r} is {handheld} degrees: it must be from 0 to 45. Use 1, or 0 "
            "for a steady camera."
        )
    steps = (frames + 1) // 2 if name in RETURNING else frames
    covered = progress(steps, easing, speed)
    moved = PRESETS[name].move(MoveParameters(covered, amount, radius, fov, aspect, seed))
    poses = moved.poses
    sway = handheld + (abs(amount) if name == "handheld" else 0.0)
    if sway > 0.0:
        poses = poses @ hand_sway(covered * (steps - 1) / fps, fps, sway, seed)
    if name in RETURNING:
        poses = np.concatenate([poses, poses[::-1][frames % 2 :]])
    return Trajectory(poses, moved.intrinsics, fps, name)
