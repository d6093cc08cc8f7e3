"""Ready-made camera moves. Each starts at the identity pose; ``Trajectory.after`` puts it where the film stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import moves
from .moves import Asked, Move
from .pacing import EASINGS, progress
from .trajectory import Trajectory
from .wander import hand_sway

__all__ = ["DEGREES", "EASINGS", "PRESETS", "RETURNING", "UNITS", "Preset", "make_preset"]

DEGREES, UNITS = "degrees", "scene units"


@dataclass(frozen=True)
class Preset:
    """A move, the ``unit`` of its amount (empty where it is not used), and the ``amount`` that shows it well."""

    move: Move
    unit: str
    amount: float

    @property
    def about(self) -> str:
        """What the camera does and what the amount means, in a sentence or two."""
        return (self.move.__doc__ or "").split("\n\n")[0].strip()


PRESETS: dict[str, Preset] = {
    "static": Preset(moves.static, "", 0.0),
    "pan": Preset(moves.pan, DEGREES, 60.0),
    "tilt": Preset(moves.tilt, DEGREES, 20.0),
    "roll": Preset(moves.roll, DEGREES, 15.0),
    "dolly": Preset(moves.dolly, UNITS, 1.0),
    "truck": Preset(moves.truck, UNITS, 1.0),
    "pedestal": Preset(moves.pedestal, UNITS, 0.5),
    "orbit": Preset(moves.orbit, DEGREES, 60.0),
    "arc": Preset(moves.arc, DEGREES, 60.0),
    "crane": Preset(moves.crane, UNITS, 1.0),
    "spiral": Preset(moves.spiral, DEGREES, 360.0),
    "zoom": Preset(moves.zoom, DEGREES, 35.0),
    "dolly zoom": Preset(moves.dolly_zoom, UNITS, 1.0),
    "handheld": Preset(moves.handheld, DEGREES, 1.0),
    "walk": Preset(moves.walk, DEGREES, 60.0),
    "loop": Preset(moves.loop, DEGREES, 360.0),
    "turn away and come back": Preset(moves.turn_away_and_come_back, DEGREES, 120.0),
    "walk away and come back": Preset(moves.walk_away_and_come_back, DEGREES, 90.0),
    "look around": Preset(moves.look_around, DEGREES, 360.0),
}
"""Moves by the name the artist sees."""

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
    moved = PRESETS[name].move(Asked(covered, amount, radius, fov, aspect, seed))
    poses, lenses = moved.poses, moved.lenses
    sway = handheld + (abs(amount) if name == "handheld" else 0.0)
    if sway > 0.0:
        poses = poses @ hand_sway(covered * (steps - 1) / fps, fps, sway, seed)
    if name in RETURNING:
        poses = np.concatenate([poses, poses[::-1][frames % 2 :]])
    return Trajectory(poses, lenses, fps, name)
