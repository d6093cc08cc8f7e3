"""Cameras as plain arrays: camera-to-world poses and normalised intrinsics.

Convention, everywhere in the pack: poses are camera-to-world ``c2w`` (4, 4) float64 in scene units with OpenCV axes
(x right, y down, z forward), so world up is -y. Intrinsics are ``fx fy cx cy`` divided by width, height, width, height.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

ROTATION_TOLERANCE = 1e-4
_CLEAN = 1e-9


def intrinsics_from_fov(fov_degrees: float, aspect: float) -> FloatArray:
    """Intrinsics (4,) of a camera with square pixels and a centred axis.

    ``fov_degrees`` is the horizontal field of view, ``aspect`` is width / height. Raises ``ValueError`` unless the
    field of view lies between 0 and 180 and the aspect is above 0.
    """
    if not 0.0 < fov_degrees < 180.0:
        raise ValueError(f"The field of view is {fov_degrees} degrees: it must lie between 0 and 180. Use 70.")
    if not (math.isfinite(aspect) and aspect > 0.0):
        raise ValueError(f"The aspect is {aspect}: it is width divided by height and must be above 0. Use 16/9.")
    fx = 0.5 / math.tan(math.radians(fov_degrees) / 2.0)
    return np.array([fx, fx * aspect, 0.5, 0.5], dtype=np.float64)


def horizontal_fov(intrinsics: ArrayLike) -> float:
    """Horizontal field of view in degrees of intrinsics (4,), the axis centred or not."""
    fx, _, cx, _ = (float(value) for value in np.asarray(intrinsics, dtype=np.float64).reshape(4))
    return math.degrees(math.atan(cx / fx) + math.atan((1.0 - cx) / fx))


def pose(position: ArrayLike, rotation: ArrayLike) -> FloatArray:
    """Pose (4, 4) from a position (3,) in scene units and a rotation (3, 3)."""
    result = np.eye(4)
    result[:3, :3] = np.asarray(rotation, dtype=np.float64).reshape(3, 3)
    result[:3, 3] = np.asarray(position, dtype=np.float64).reshape(3)
    return result


def look_at(position: ArrayLike, target: ArrayLike) -> FloatArray:
    """Pose (4, 4) of an upright camera at ``position`` (3,) that looks at ``target`` (3,). Raises ``ValueError`` if
    both are in one place."""
    origin = np.asarray(position, dtype=np.float64).reshape(3)
    offset = np.asarray(target, dtype=np.float64).reshape(3) - origin
    distance = float(np.linalg.norm(offset))
    if not distance > 1e-9:
        raise ValueError(f"The camera and its target are both at {origin.tolist()}: there is no direction to look in. "
                         "Move one of them.")
    forward = offset / distance
    down = np.array([0.0, 1.0, 0.0])
    right = np.cross(down, forward)
    if float(np.linalg.norm(right)) < 1e-12:
        right = np.array([1.0, 0.0, 0.0])
    right = right / np.linalg.norm(right)
    return pose(origin, np.stack([right, np.cross(forward, right), forward], axis=1))


def clean_poses(poses: ArrayLike, what: str) -> FloatArray:
    """A checked copy (F, 4, 4) of camera-to-world poses; ``what`` names them in the error.

    A rotation within 1e-4 of orthonormal is moved to the nearest rotation, so that rounding in a file never grows;
    one that is already exact keeps its bits. Anything else, an improper rotation above all, is refused.
    """
    result = np.array(poses, dtype=np.float64, copy=True)
    if result.ndim != 3 or result.shape[1:] != (4, 4):
        raise ValueError(f"{what}: poses have the shape {result.shape}, expected (frames, 4, 4). "
                         "Give one 4x4 camera-to-world matrix for each frame.")
    if len(result) == 0:
        raise ValueError(f"{what} has no frames: it needs at least 1. Give it a length of 1 frame or more.")
    if not np.isfinite(result).all():
        frame = int(np.argmin(np.isfinite(result).all(axis=(1, 2))))
        raise ValueError(f"{what}: the pose of frame {frame} holds a value that is not a finite number. "
                         "Repair or leave out that frame.")
    wrong = np.abs(result[:, 3] - np.array([0.0, 0.0, 0.0, 1.0])).max(axis=1) > _CLEAN
    if wrong.any():
        frame = int(np.argmax(wrong))
        raise ValueError(f"{what}: the last row of the pose of frame {frame} is {result[frame, 3].tolist()}, expected "
                         "[0, 0, 0, 1]. The matrix may be transposed: give it row by row, translation in the last "
                         "column.")
    result[:, 3] = (0.0, 0.0, 0.0, 1.0)
    turns = result[:, :3, :3]
    error, determinant = _rigidity(turns)
    if (error > ROTATION_TOLERANCE).any():
        frame = int(np.argmax(error > ROTATION_TOLERANCE))
        raise ValueError(f"{what}: the rotation of frame {frame} is off orthonormal by {error[frame]:.2g}, expected at "
                         f"most {ROTATION_TOLERANCE:g}. Remove scale or shear from the camera.")
    if (determinant < 0.0).any():
        frame = int(np.argmax(determinant < 0.0))
        raise ValueError(f"{what}: the rotation of frame {frame} is improper (its determinant is -1, expected +1): it "
                         "mirrors the scene. The file is from a left-handed program: convert its axes first.")
    rounded = error > _CLEAN
    if rounded.any():
        u, _, vt = np.linalg.svd(turns[rounded])
        result[rounded, :3, :3] = u @ vt
    return result


def clean_intrinsics(intrinsics: ArrayLike, frames: int, what: str) -> FloatArray:
    """A checked copy (F, 4) of normalised intrinsics; one row (4,) is repeated for all ``frames``.

    Raises ``ValueError`` for another shape, numbers that are not finite, and focal lengths that are not above 0;
    ``what`` names them in the error.
    """
    given = np.asarray(intrinsics, dtype=np.float64)
    if given.shape == (4,):
        given = np.broadcast_to(given, (frames, 4))
    if given.shape != (frames, 4):
        raise ValueError(f"{what}: intrinsics have the shape {given.shape}, expected ({frames}, 4) for {frames} poses. "
                         "Give fx fy cx cy for each frame.")
    if not np.isfinite(given).all() or (given[:, :2] <= 0.0).any():
        frame = int(np.argmax(~np.isfinite(given).all(axis=1) | (given[:, :2] <= 0.0).any(axis=1)))
        raise ValueError(f"{what}: the intrinsics of frame {frame} are {given[frame].tolist()}, expected finite "
                         "numbers with fx and fy above 0. They are divided by the picture's width and height.")
    return np.array(given)


def rigid_inverse(poses: FloatArray) -> FloatArray:
    """Inverse (..., 4, 4) of poses (..., 4, 4) whose rotations are orthonormal."""
    result = np.zeros_like(poses)
    back = np.swapaxes(poses[..., :3, :3], -1, -2)
    result[..., :3, :3] = back
    result[..., :3, 3] = -(back @ poses[..., :3, 3:])[..., 0]
    result[..., 3, 3] = 1.0
    return result


def _rigidity(turns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far each of (F, 3, 3) is off orthonormal (F,), as the greatest entry of R R^T - 1, and its determinant (F,).

    Element by element over all frames: a million small matrix products take several times as long.
    """
    rows = np.ascontiguousarray(turns.transpose(1, 2, 0))
    error = np.zeros(len(turns))
    for i in range(3):
        for j in range(i + 1):
            dot = rows[i, 0] * rows[j, 0] + rows[i, 1] * rows[j, 1] + rows[i, 2] * rows[j, 2]
            np.maximum(error, np.abs(dot - float(i == j)), out=error)
    (a, b, c), (d, e, f), (g, h, i_) = rows
    return error, a * (e * i_ - f * h) - b * (d * i_ - f * g) + c * (d * h - e * g)
