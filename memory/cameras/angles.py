"""Angles and rotations: yaw, pitch and roll of cameras, in degrees, and back.

``yaw`` > 0 turns right, ``pitch`` > 0 looks up, ``roll`` > 0 turns the camera clockwise. Yaw is applied about the
world's vertical, then pitch about the camera's own right, then roll about its own line of sight.

Written out rather than taken from ``scipy.spatial.transform``: poses of moves and drawn paths are part of the key of a
segment, so their last bit may not change, and whole turns have to give exactly the identity; scipy goes by quaternions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .camera import FloatArray

STEEP, LEVEL = 1e-7, 1e-3
"""How much of its line of sight a camera has in the plane: below the first it has no yaw of its own, and below the
second its heading is taken from its right side."""


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> FloatArray:
    """Camera-to-world rotation (3, 3) from degrees; whole turns give exactly the identity.

    Raises ``ValueError`` for an angle that is not finite.

    >>> rotation(yaw=360.0).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return _composed(*(_sin_cos(angle) for angle in (yaw, pitch, roll))) + 0.0


def rotations(yaw: FloatArray, pitch: FloatArray, roll: FloatArray) -> FloatArray:
    """Camera-to-world rotations (n, 3, 3) from degrees (n,), as ``rotation``; whole turns give exactly the identity."""
    return _composed(*(_sines_cosines(angles) for angles in (yaw, pitch, roll)))


def angles_of(rotations: FloatArray, unwrapped: bool = False) -> FloatArray:
    """Yaw, pitch and roll (K, 3) in degrees of rotations (K, 3, 3), from -180 to 180.

    A camera that looks straight up or down has no roll. ``unwrapped`` angles each differ from the one before by half a
    turn at most, however far that leads.

    >>> angles_of(rotation(30.0, -20.0, 10.0)[None]).round(9).tolist()
    [[30.0, -20.0, 10.0]]
    """
    level = np.hypot(rotations[:, 0, 2], rotations[:, 2, 2])
    steep = level < STEEP
    upright = np.arctan2(rotations[:, 0, 2], rotations[:, 2, 2])
    yaw = np.where(steep, np.arctan2(-rotations[:, 2, 0], rotations[:, 0, 0]), upright)
    pitch = np.arctan2(-rotations[:, 1, 2], level)
    roll = np.where(steep, 0.0, np.arctan2(rotations[:, 1, 0], rotations[:, 1, 1]))
    radians = np.stack([yaw, pitch, roll], axis=1)
    return np.asarray(np.degrees(np.unwrap(radians, axis=0) if unwrapped else radians), dtype=np.float64)


def headings(poses: FloatArray) -> FloatArray:
    """Yaw (N,) in radians of poses (N, 4, 4), above 0 to the right; a vertical camera takes it from its right side."""
    forward, side = poses[:, :3, 2], poses[:, :3, 0]
    level = np.hypot(forward[:, 0], forward[:, 2]) > LEVEL
    return np.asarray(np.where(level, np.arctan2(forward[:, 0], forward[:, 2]), np.arctan2(-side[:, 2], side[:, 0])))


def _composed(yaw: tuple[Any, Any], pitch: tuple[Any, Any], roll: tuple[Any, Any]) -> FloatArray:
    """Rotations (..., 3, 3) from the sines and cosines (...) of the angles."""
    (sy, cy), (sp, cp), (sr, cr) = yaw, pitch, roll
    rows = [
        [cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, sy * cp],
        [cp * sr, cp * cr, -sp],
        [cy * sp * sr - sy * cr, sy * sr + cy * sp * cr, cy * cp],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _sin_cos(degrees: float) -> tuple[float, float]:
    if not math.isfinite(degrees):
        raise ValueError(f"An angle is {degrees}: it must be a finite number of degrees.")
    reduced = math.remainder(degrees, 360.0)
    return math.sin(math.radians(reduced)), math.cos(math.radians(reduced))


def _sines_cosines(degrees: FloatArray) -> tuple[FloatArray, FloatArray]:
    radians = np.radians(degrees - 360.0 * np.round(degrees / 360.0))
    return np.sin(radians), np.cos(radians)
